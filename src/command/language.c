/* The language of the messages (gettext(3)).
 *
 * A machine may lack the locale that LANG names (a bare Debian has C.UTF-8 alone) and still have
 * our catalogue: then the language comes from LANG by way of LANGUAGE, which gettext reads in any
 * locale but plain C. */
#include "command/language.h"

#include "command/command.h"

#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

static const char *wanted(void)
{
	const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

	for (unsigned i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && value[0] != '\0')
			return value;
	}
	return "C";
}

static bool is_plain(const char *locale)
{
	return strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0 ||
	       strncmp(locale, "C.", 2) == 0;
}

/* `build/release/po` when this program is `build/release/prise`: a tree that has not been installed
 * speaks French too. False when there is none. */
static bool find_build_tree(char *directory, size_t cap)
{
	char program[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;
	int put;

	if (len <= 0)
		return false;
	program[len] = '\0';
	slash = strrchr(program, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	put = snprintf(directory, cap, "%s/po", program);
	return put > 0 && (size_t)put < cap && access(directory, R_OK | X_OK) == 0;
}

void language_begin(void)
{
	char directory[PATH_MAX];
	const char *language = wanted();
	const char *place = getenv("PRISE_LOCALEDIR");

	if (is_plain(language) || setlocale(LC_CTYPE, "") == NULL)
		setlocale(LC_CTYPE, "C.UTF-8");
	if (is_plain(language))
		return;
	if (setlocale(LC_MESSAGES, "") == NULL) {
		setlocale(LC_MESSAGES, "C.UTF-8");
		setenv("LANGUAGE", language, 0);
	}
	if (place == NULL)
		place = find_build_tree(directory, sizeof(directory)) ? directory : PRISE_LOCALEDIR;
	bindtextdomain("prise", place);
	bind_textdomain_codeset("prise", "UTF-8");
	textdomain("prise");
}
