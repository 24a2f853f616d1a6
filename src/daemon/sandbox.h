/* The daemon confines itself: Landlock (landlock(7)) leaves it its own state directory to write,
 * the configuration and what the C library needs to read, and no program to run. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include "service/service.h"

/* Becomes `user` with its groups, for good, and gives it `state_dir` (unless NULL) and what is in
 * it. 0, ERR_NO_NAME (no such user), ERR_PERMISSION. */
int sandbox_become(const char *user, const char *state_dir);

/* Opens what may still be touched later, while who we are may still go there: `state_dir` (unless
 * NULL) may be written, `configuration` (a file, or NULL) read; unix sockets may be made in the
 * directories of `sockets` (NULL-terminated); `paths` are what services ask for. Returns a
 * descriptor for sandbox_enter; ERR_SYSTEM when the kernel has no Landlock; or why `*refused`, one
 * of the paths, cannot be opened. */
int sandbox_prepare(const char *state_dir, const char *configuration, const char *const *sockets,
		    const struct service_path *paths, unsigned path_count, const char **refused);

/* Confines this thread and all it makes from now on, and closes the descriptor. 0 or ERR_SYSTEM,
 * when nothing is changed. */
int sandbox_enter(int ruleset_fd);

#endif
