/* The telnet protocol's bytes, for a client that has no option (RFC 854, 855, 1143).
 *
 *   TEXT ─ IAC ─► COMMAND ─ WILL WONT DO DONT ─► OPTION ─ any ─► TEXT
 *     ▲             │  └─ SB ─► SUB ─ IAC ─► SUB_COMMAND ─ SE ─► TEXT
 *     └── others ◄──┘            ▲              │ └─ others: as COMMAND
 *                                └──── IAC ◄────┘
 *
 * RFC 1143 keeps a state for each option on each side so that two ends never answer each other for
 * ever. Here each is always NO, and of its table four lines remain: WILL is answered DONT, DO is
 * answered WONT, WONT and DONT confirm what is so already and are not answered. */
#include "proto/telnet.h"

enum telnet_state {
	TELNET_TEXT,
	TELNET_COMMAND,
	TELNET_OPTION,
	TELNET_SUB,
	TELNET_SUB_COMMAND,
};

enum {
	TELNET_SE = 240,
	TELNET_SB = 250,
	TELNET_WILL = 251,
	TELNET_WONT = 252,
	TELNET_DO = 253,
	TELNET_DONT = 254,
	TELNET_IAC = 255,
};

/* Whether a byte of the text is shown; the NUL after CR is not (RFC 854, page 11). */
static bool telnet_text(struct telnet *t, uint8_t byte)
{
	bool shown = !(t->got_cr && byte == '\0');

	t->got_cr = byte == '\r';
	return shown;
}

/* The byte after IAC. True when it is the doubled IAC: a byte 255 of the text. */
static bool telnet_command(struct telnet *t, uint8_t byte)
{
	t->state = TELNET_TEXT;
	if (byte == TELNET_IAC)
		return telnet_text(t, byte);
	if (byte >= TELNET_WILL) {
		t->verb = byte;
		t->state = TELNET_OPTION;
	} else if (byte == TELNET_SB) {
		t->skipped = 0;
		t->state = TELNET_SUB;
	}
	return false;
}

/* The answer to an option, of 0 or 3 bytes. */
static size_t telnet_refuse(struct telnet *t, uint8_t option, uint8_t *reply)
{
	t->state = TELNET_TEXT;
	if (t->verb != TELNET_WILL && t->verb != TELNET_DO)
		return 0;
	reply[0] = TELNET_IAC;
	reply[1] = t->verb == TELNET_WILL ? TELNET_DONT : TELNET_WONT;
	reply[2] = option;
	return 3;
}

/* A byte within a subnegotiation. One that runs too long was no subnegotiation, or its end was
 * lost: what follows is text again. */
static void telnet_sub(struct telnet *t, uint8_t byte)
{
	if (++t->skipped == TELNET_SUBNEGOTIATION_BYTES)
		t->state = TELNET_TEXT;
	else
		t->state = byte == TELNET_IAC ? TELNET_SUB_COMMAND : TELNET_SUB;
}

/* After IAC in a subnegotiation: all but the doubled IAC and SE mean that SE was forgotten. */
static void telnet_sub_command(struct telnet *t, uint8_t byte)
{
	if (byte == TELNET_IAC)
		telnet_sub(t, 0);
	else
		telnet_command(t, byte);
}

struct telnet_made telnet_receive(struct telnet *t, struct bytes in, uint8_t *data, uint8_t *reply)
{
	struct telnet_made made = {0, 0};

	for (size_t i = 0; i < in.len; i++) {
		uint8_t byte = in.data[i];
		bool shown = false;

		switch ((enum telnet_state)t->state) {
		case TELNET_TEXT:
			if (byte == TELNET_IAC)
				t->state = TELNET_COMMAND;
			else
				shown = telnet_text(t, byte);
			break;
		case TELNET_COMMAND:
			shown = telnet_command(t, byte);
			break;
		case TELNET_OPTION:
			made.reply_len += telnet_refuse(t, byte, reply + made.reply_len);
			break;
		case TELNET_SUB:
			telnet_sub(t, byte);
			break;
		case TELNET_SUB_COMMAND:
			telnet_sub_command(t, byte);
			break;
		}
		if (shown)
			data[made.data_len++] = byte;
	}
	return made;
}

size_t telnet_send(struct telnet *t, struct bytes in, uint8_t *data)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t byte = in.data[i];

		if (t->sent_cr && byte != '\n')
			data[n++] = '\0';
		if (!t->sent_cr && byte == '\n')
			data[n++] = '\r';
		data[n++] = byte;
		if (byte == TELNET_IAC)
			data[n++] = TELNET_IAC;
		t->sent_cr = byte == '\r';
	}
	return n;
}
