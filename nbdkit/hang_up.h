/* SPDX-License-Identifier: MIT */
/*
 * nbdkit, told by a signal to end, waits for all clients to go, and one that asks for nothing may stay
 * for ever: a virtual machine whose disk rests. So nothing more is read from clients then. What they
 * had asked for is done and answered, and their connections end.
 */
#ifndef NBDKIT_HANG_UP_H
#define NBDKIT_HANG_UP_H

/* Watches for such a signal, in a thread of its own. 0 or an errno value. Once a process. */
int hang_up_start(void);

/* When all clients have gone. Fine if it was not started. */
void hang_up_stop(void);

#endif
