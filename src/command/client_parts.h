/* What command/client.c, client_ask.c and client_tls.c share. Private to the three. */
#ifndef COMMAND_CLIENT_PARTS_H
#define COMMAND_CLIENT_PARTS_H

#include "command/client.h"

enum { CLIENT_DIAL_MS = 10000 };

/* Whether --tls and --pin can be meant: 0, or the exit code of wrong usage, having said why. */
int client_check_tls(const struct command_common *common);

/* Opens c->trust as `tls` says, or, when that is NULL, --tls; plain: it stays closed. 0 or ERR_. */
int client_open_trust(struct client *c, const struct client_tls *tls);

/* An event of the conversation's machine: to whoever wants it. `owner` is the client. */
void client_event(void *owner, struct event *e);

#endif
