/* The configuration's file: from text to libconfuse's tree, each value checked where it stands.
 * Private to daemon/configuration.c. */
#ifndef DAEMON_CONFIGURATION_FILE_H
#define DAEMON_CONFIGURATION_FILE_H

#include "base/text.h"
#include "daemon/configuration.h"

#include <confuse.h>

/* Reads and checks the file; `*parsed` belongs to `c` from now on. 0, or ERR_SYNTAX, ERR_NO_FILE,
 * ERR_PERMISSION, ERR_MEMORY, ... with c->message set. */
int configuration_parse(struct configuration *c, const char *path, cfg_t **parsed);

/* daemon/configuration_keys.c: reads whom `s` lets in. 0, or an error with c->message set. */
int configuration_read_keys(struct configuration *c, struct configuration_service *s);

/* daemon/configuration_listen.c. Data is not shown or taken beyond loopback by accident: 0, or
 * ERR_USAGE with c->message set. */
int configuration_check_reach(struct configuration *c, const struct configuration_service *s,
			      bool insecure);

/* No two on one port, as far as the addresses are known: 0, or ERR_SYNTAX with c->message set. */
int configuration_check_taken(struct configuration *c);

/* `FILE:LINE: NAME` of a service, or its name alone when the mistake is not the file's (line 0). */
void configuration_put_who(struct text *t, const struct configuration *c,
			   const struct configuration_service *s, unsigned line);

/* The nearest valid key of a block, or of the file itself when `row` is NULL; NULL: none is near.
 */
const char *configuration_nearest(const struct service_row *row, const char *name);

/* Sets c->message, unless an earlier mistake has. */
void configuration_say(struct configuration *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for an address: `where` is a service, or a file and its line. */
void configuration_say_listen(struct configuration *c, const char *where, const char *item,
			      int err);

#endif
