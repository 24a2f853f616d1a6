/* What the files of http1 share among themselves. */
#ifndef PROTO_HTTP1_PARTS_H
#define PROTO_HTTP1_PARTS_H

#include "proto/http1.h"

/* Marks text for xgettext; whoever prints it has it translated. */
#define N_(s) s

/* Classes of bytes, RFC 9110 5.6.2 and RFC 3986. */
enum {
	HTTP1_TOKEN = 1, /* tchar */
	HTTP1_HOST =
		2, /* unreserved, sub-delims and `%`: a name or an address without its colons */
	HTTP1_HEX = 4,
	HTTP1_ALPHA = 8,
	HTTP1_DIGIT = 16,
};

extern const uint8_t http1_class[256];

/* Whether all of `b` is of one of the classes; yes when it is empty. */
bool http1_all(struct bytes b, unsigned classes);

/* Whether a field's value, a reason or a status line may hold `b`: no control character but HT. */
bool http1_is_clean(struct bytes b);

/* Whether `b` is all visible: no space, no control character. */
bool http1_is_visible(struct bytes b);

/* uri-host [ ":" port ]. */
bool http1_is_host(struct bytes b);
bool http1_is_authority(struct bytes b); /* of CONNECT: the port must be there */

/* Without spaces and tabs at both ends. */
struct bytes http1_trim(struct bytes b);

/* ERR_PROTOCOL, with the refusal filled in. */
int http1_refuse(struct http1_refusal *refusal, unsigned status, const char *why);

/* Fills in what the fields of a whole head say: framing, length, keep_alive, expects_continue. 0 or
 * ERR_PROTOCOL. */
int http1_understand(struct http1_head *head, struct bytes method, struct http1_refusal *refusal);

#endif
