/* Landlock by system call, since Debian 12's C library has no wrappers and its headers are older
 * than many kernels: rights that a kernel does not know are left out, as its version says.
 *
 * Source: landlock(7), landlock_create_ruleset(2), setgroups(2). */
#include "daemon/sandbox.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SANDBOX_READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define SANDBOX_SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define SANDBOX_WRITE                                                     \
	(SANDBOX_READ | SANDBOX_SOCKETS | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |      \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define SANDBOX_ALL                                                                  \
	(SANDBOX_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |              \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

int sandbox_become(const char *user, const char *state_dir)
{
	struct passwd *entry = getpwnam(user);

	if (!entry)
		return ERR_NO_NAME;
	if (geteuid() == 0 && chown(state_dir, entry->pw_uid, entry->pw_gid) < 0)
		return err_from_errno(errno);
	if (initgroups(user, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
	    setuid(entry->pw_uid) < 0)
		return err_from_errno(errno);
	/* Root that can come back was never dropped. */
	return entry->pw_uid != 0 && setuid(0) == 0 ? ERR_PERMISSION : 0;
}

/* Allows `access` beneath `path`; what does not exist needs no rule. */
static int sandbox_allow(int ruleset_fd, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	long result;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : err_from_errno(errno);
	result = syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return result < 0 ? err_from_errno(errno) : 0;
}

/* The same beneath the directory that `path` stands in. */
static int sandbox_allow_beside(int ruleset_fd, const char *path, uint64_t access)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof directory, "%s", path);
	return sandbox_allow(ruleset_fd, dirname(directory), access);
}

static int sandbox_allow_all(int ruleset_fd, const char *state_dir, const char *configuration,
			     const char *const *sockets)
{
	/* What the C library reads on its own: names, time zones, charsets; and /proc and /dev. */
	static const char *const readable[] = {"/etc",  "/usr/lib", "/usr/share",
					       "/lib",  "/lib64",   "/run/systemd/resolve",
					       "/proc", "/dev",     NULL};
	int err = sandbox_allow(ruleset_fd, state_dir, SANDBOX_WRITE);

	for (unsigned i = 0; readable[i] && !err; i++)
		err = sandbox_allow(ruleset_fd, readable[i], SANDBOX_READ);
	/* An editor replaces a file, so that the right must be on its directory. */
	if (configuration && !err)
		err = sandbox_allow_beside(ruleset_fd, configuration, SANDBOX_READ);
	for (unsigned i = 0; sockets[i] && !err; i++)
		err = sandbox_allow_beside(ruleset_fd, sockets[i], SANDBOX_SOCKETS);
	return err;
}

int sandbox_enter(const char *state_dir, const char *configuration, const char *const *sockets)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = SANDBOX_ALL};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	int err;

	if (fd < 0)
		return ERR_SYSTEM;
	err = sandbox_allow_all(fd, state_dir, configuration, sockets);
	if (!err && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		     syscall(SYS_landlock_restrict_self, fd, 0) < 0))
		err = ERR_SYSTEM;
	close(fd);
	return err;
}
