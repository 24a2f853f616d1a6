/* Source: the XDG Base Directory Specification 0.8: a variable that is empty or no absolute path
 * counts as unset. */
#include "base/place.h"

#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int place_find(struct text *path, const char *variable, const char *for_root,
		      const char *beneath_home)
{
	const char *named = getenv(variable), *home = getenv("HOME");

	if (named && named[0] == '/')
		text_printf(path, "%s/prise", named);
	else if (geteuid() == 0)
		text_put_string(path, for_root);
	else if (home && home[0] == '/')
		text_printf(path, "%s/%s/prise", home, beneath_home);
	else
		return ERR_NO_FILE;
	return path->cut ? ERR_TOO_LONG : 0;
}

int place_state(struct text *path)
{
	return place_find(path, "XDG_STATE_HOME", "/var/lib/prise", ".local/state");
}

int place_config(struct text *path)
{
	return place_find(path, "XDG_CONFIG_HOME", "/etc/prise", ".config");
}

int place_control(struct text *path)
{
	const char *state = getenv("XDG_STATE_HOME"), *runtime = getenv("XDG_RUNTIME_DIR");
	int err;

	if (geteuid() == 0 && !(state && state[0] == '/')) {
		text_put_string(path, "/run/prise/ctl");
		return path->cut ? ERR_TOO_LONG : 0;
	}
	if (runtime && runtime[0] == '/') {
		text_printf(path, "%s/prise/ctl", runtime);
		return path->cut ? ERR_TOO_LONG : 0;
	}
	err = place_state(path);
	text_put_string(path, "/ctl");
	return err || !path->cut ? err : ERR_TOO_LONG;
}

int place_make(const char *path)
{
	char part[PLACE_BYTES];
	struct text t = TEXT_OVER(part);

	text_put_string(&t, path);
	if (t.cut)
		return ERR_TOO_LONG;
	for (char *slash = part + 1; slash;) {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return err_from_errno(errno);
		if (slash)
			*slash++ = '/';
	}
	return 0;
}
