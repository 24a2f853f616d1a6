/* What the client commands share: from the words on the command line to a machine that talks to a
 * peer, and to the exit code with its sentence.
 *
 *   client_open (words, loop) ──► client_talk (TCP) or client_ask (UDP) ──► client_close
 *
 * With -v the wire is shown; with --json every event of the machine is printed as it is, else the
 * command's own `event` is called for it. */
#ifndef COMMAND_CLIENT_H
#define COMMAND_CLIENT_H

#include "command/command.h"
#include "command/trust.h"
#include "net/dial.h"
#include "net/pump.h"

struct client {
	const struct command_call *call;
	struct loop *loop;
	struct work *work;
	struct pump_common *pumps;
	struct endpoint to;
	enum name_families families;          /* to be tried */
	char where[ENDPOINT_HOST_BYTES + 16]; /* `to` as people write it */
	struct address source;                /* to dial from; the caller's, after client_open */
	struct address remote, local;         /* once connected */
	struct address rest[NAME_MOST];       /* of the peer, that were not tried; the next one
					       * first */
	unsigned rests;

	/* The conversation under way. */
	const struct client_talk *talk;
	struct pump *pump;
	uint64_t id; /* of the machine */
	struct trust trust;
	const char *tls_name; /* as in tls_create */
	struct dial *dial;    /* while it is under way */
	int fd;               /* what client_dial connected */
	bool connected;       /* what goes wrong from here on is the conversation's */
	bool securing;        /* or the handshake's */
	bool heard;           /* the peer said something */
	bool done, stopped;   /* stopped: by client_stop */
	int err;
	struct wheel_timer timer;
};

struct client_talk {
	const struct machine *machine;
	const void *settings;
	const struct client_tls *tls; /* NULL: what --tls and --pin say, for commands that take
				       * them: one of ours, else plain. The machine is opened, and
				       * `connected` called, once the handshake is over */
	uint64_t dial_ms;             /* to connect within; 0: -t, else 10 s */
	uint64_t idle_ms;             /* the peer may be silent this long; 0: for ever */
	uint64_t total_ms;            /* for the whole conversation; 0: no limit */
	bool for_stdout;              /* pointless, so it ends well, once nobody reads stdout */
	/* Each may be NULL. */
	void (*noted)(void *owner, const struct event *event); /* each event, also with --json */
	void (*heard)(void *owner, struct bytes b); /* what comes, before the machine has it and
						     * after its end too */
	void (*unheard)(void *owner);               /* nobody reads stdout, which it is not for */
	void (*connected)(void *owner, struct client *client);
	void (*event)(void *owner, const struct event *event);
	void (*told)(void *owner, const struct message *message);
	void *owner;
};

/* Understands `HOST[:PORT]`, `HOST PORT`, `:PORT`, `unix:/PATH` from the first words of the call
 * (`*taken` of them), and makes a loop. A client without a port takes `default_port`; with
 * `two_words` a second word is a port. 0, or an exit code, having said why. */
int client_open(struct client *client, const struct command_call *call, uint16_t default_port,
		bool two_words, int *taken);

/* Connects and lets the machine talk until it or the peer ends it. 0, or the ERR_;
 * client->connected says which part it belongs to. */
int client_talk(struct client *client, const struct client_talk *talk);

/* Over UDP: sends `request` up to `tries` times, dividing the time (-t, else 6 s) among them, to
 * each address of the peer until one answers (command/race.h), and hands the first answer to the
 * machine's `datagram`. 0, or the ERR_. */
int client_ask(struct client *client, const struct client_talk *talk, struct bytes request,
	       unsigned tries);

/* Just connects: `*fd` is the caller's own socket, not a machine's (UDP: no packet is sent).
 * `timeout_ms` 0: -t, else 10 s. 0, or the ERR_. */
int client_dial(struct client *client, uint64_t timeout_ms, int *fd);

/* After it: TLS on that socket, under `tls`; the caller frees the session, before client_close. 0,
 * or the ERR_. */
int client_secure(struct client *client, const struct client_tls *tls, int fd,
		  struct tls **session);

/* Over UDP connecting says nothing of whoever is there, so client_dial has the first address that
 * can be sent to. This connects to the next of client->rest, which becomes client->remote: 0, or
 * its ERR_; ERR_NO_ADDRESS when none is left. */
int client_dial_next(struct client *client, int *fd);

/* After it: runs the loop until client_stop, and returns its `err`. */
int client_wait(struct client *client);

/* A message to the machine; also from within a callback. */
void client_tell(struct client *client, uint32_t kind, struct bytes body);

/* The peer has `ms` from now for whatever is due next, or it ends with ERR_TIMEOUT; 0: as long as
 * it likes. Not together with total_ms. */
void client_await(struct client *client, uint64_t ms);

/* Ends the conversation from within (a callback): politely, or with an error at once. */
void client_end(struct client *client, int err);

/* Ends client_talk, client_dial or client_wait at once, which returns `err` (0: well; but
 * client_dial, which then has nothing, ERR_DRAINED); from within a callback. */
void client_stop(struct client *client, int err);

/* Says what went wrong, with the advice that fits. Returns the exit code; 0 for 0. */
int client_say(struct client *client, int err);

/* -t, or the command's own default. */
uint64_t client_timeout_ms(const struct client *client, uint64_t fallback_ms);

enum name_families client_families(const struct command_call *call);

void client_close(struct client *client);

#endif
