/* SPDX-License-Identifier: MIT */
/*
 * What a function of the library can return: 0, or one of these negative codes.
 *
 * A code says what kind of thing went wrong, so that a program can decide what to do. What a person
 * wants to know besides (which block, which structure, which data blocks are affected) is told
 * through a struct report, see report.h.
 */
#ifndef PERSISTENT_DATA_ERROR_H
#define PERSISTENT_DATA_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum pd_error {
	PD_OK = 0,
	PD_ERR_IO = -1,		 /* the device could not be read, written or flushed */
	PD_ERR_CORRUPT = -2,	 /* what was read breaks a rule of the format */
	PD_ERR_UNSUPPORTED = -3, /* sound perhaps, but not a thing this library handles */
	PD_ERR_NO_SPACE = -4,	 /* the output is too small */
	PD_ERR_NO_MEMORY = -5,	 /* an allocation failed */
	PD_ERR_BUSY = -6,	 /* in use, or changed by another while it was being read */
	PD_ERR_USAGE = -7,	 /* the caller asked for what cannot be */
	PD_ERR_CLOSED = -8,	 /* the reader of the output went away: nobody wants the rest */
};

/* A short English text for a code, never NULL; static, not to be freed. */
const char *pd_error_text(int error);

#ifdef __cplusplus
}
#endif

#endif
