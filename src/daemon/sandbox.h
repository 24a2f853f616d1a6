/* The daemon confines itself: Landlock (landlock(7)) leaves it its own state directory to write,
 * the configuration and what the C library needs to read, and no program to run. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

/* Becomes `user` with its groups, for good, and gives it `state_dir`. 0, ERR_NO_NAME (no such
 * user), ERR_PERMISSION. */
int sandbox_become(const char *user, const char *state_dir);

/* Confines this thread and all it makes from now on. `state_dir` may be written, `configuration` (a
 * file, or NULL) read; unix sockets may be made in the directories of `sockets` (NULL-terminated).
 * 0; ERR_SYSTEM when the kernel has no Landlock, when nothing is changed. */
int sandbox_enter(const char *state_dir, const char *configuration, const char *const *sockets);

#endif
