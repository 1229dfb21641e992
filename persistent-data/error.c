/* SPDX-License-Identifier: MIT */
/* The texts of the error codes. */
#include "persistent-data/error.h"

const char *pd_error_text(int error)
{
	switch (error) {
	case PD_OK:
		return "success";
	case PD_ERR_IO:
		return "input/output error";
	case PD_ERR_CORRUPT:
		return "the metadata is damaged";
	case PD_ERR_UNSUPPORTED:
		return "not supported";
	case PD_ERR_NO_SPACE:
		return "not enough space";
	case PD_ERR_NO_MEMORY:
		return "out of memory";
	case PD_ERR_BUSY:
		return "in use by another";
	case PD_ERR_USAGE:
		return "bad usage";
	case PD_ERR_CLOSED:
		return "the output was closed by its reader";
	default:
		return "unknown error";
	}
}
