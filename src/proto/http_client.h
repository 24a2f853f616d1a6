/* What passes between http_client_machine (http_client.c) and whoever holds it. */
#ifndef PROTO_HTTP_CLIENT_H
#define PROTO_HTTP_CLIENT_H

#include "proto/http1.h"
#include "proto/machine.h"

enum http_client_kind {
	/* Told to the machine. */

	/* A request begins. `body`: its head and the content that is at hand, sent as they
	 * are. Number 0: flags. Not before the one before is done. */
	HTTP_CLIENT_REQUEST = 1,
	HTTP_CLIENT_TEXT, /* more content: `body` */

	/* Told by it, to OUT_OWNER; bodies are borrowed: valid during the call. */

	HTTP_CLIENT_GO_ON = 4, /* HTTP_CLIENT_EXPECTS: send the content, it was not refused */
	HTTP_CLIENT_INTERIM,   /* a 1xx. `body`: its head. Number 0: status */
	HTTP_CLIENT_HEAD,      /* the answer. `body`: its head. Number 0: status */
	HTTP_CLIENT_CONTENT,   /* `body`: the next of its content, transfer coding taken off */
	HTTP_CLIENT_DONE,      /* all of it. Number 0: 1 when another request may follow */
	HTTP_CLIENT_TUNNEL,    /* HTTP_CLIENT_CONNECT: 2xx; what follows is not the machine's, which
				* takes nothing of it. In place of DONE */
	HTTP_CLIENT_REFUSED,   /* the answer is broken. `body`: the rule, N_(). ERR_PROTOCOL follows
				*/

	/* Told to the machine. More content: number 0 a descriptor of the holder's that can be
	 * read, 1 from, 2 bytes. Out of the reach of a fuzzer, whose kinds are a byte. */
	HTTP_CLIENT_FILE = 0x100,
};

enum http_client_flag {
	HTTP_CLIENT_NO_CONTENT = 1, /* the request is a HEAD: the answer has a head only */
	HTTP_CLIENT_CONNECT = 2,    /* ... is a CONNECT */
	HTTP_CLIENT_EXPECTS = 4,    /* ... says Expect: 100-continue */
};

extern const struct machine http_client_machine;

#endif
