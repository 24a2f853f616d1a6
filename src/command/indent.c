/* JSON laid out, token by token (RFC 8259). */
#include "command/indent.h"

static void new_line(const struct indent *n, struct text *t)
{
	unsigned depth = n->depth < INDENT_DEPTH ? n->depth : INDENT_DEPTH;

	text_put_byte(t, '\n');
	for (unsigned i = 0; i < depth; i++)
		text_put_string(t, "  ");
}

/* Before the first byte of a value or a name. */
static void before(struct indent *n, struct text *t)
{
	if (n->opened || (n->whole && !n->depth))
		new_line(n, t);
	n->opened = n->whole = false;
}

static void put_in_string(struct indent *n, struct text *t, char c)
{
	text_put_byte(t, c);
	if (n->escaped)
		n->escaped = false;
	else if (c == '\\')
		n->escaped = true;
	else if (c == '"')
		n->in_string = false;
	n->whole = !n->in_string && !n->depth;
}

static void put_closing(struct indent *n, struct text *t, char c)
{
	if (n->depth)
		n->depth--;
	if (!n->opened)
		new_line(n, t);
	n->opened = false;
	text_put_byte(t, c);
	n->whole = !n->depth;
}

static void put_token(struct indent *n, struct text *t, char c)
{
	switch (c) {
	case '{':
	case '[':
		before(n, t);
		text_put_byte(t, c);
		n->depth++;
		n->opened = true;
		break;
	case '}':
	case ']':
		put_closing(n, t, c);
		break;
	case ',':
		text_put_byte(t, c);
		new_line(n, t);
		break;
	case ':':
		text_put_string(t, ": ");
		break;
	default:
		before(n, t);
		text_put_byte(t, c);
		n->in_string = c == '"';
		n->word = !n->in_string;
		break;
	}
}

void indent_put(struct indent *n, struct text *t, char c)
{
	bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';

	if (n->in_string) {
		put_in_string(n, t, c);
		return;
	}
	if (n->word && !space && !strchr("{}[],:\"", c)) {
		text_put_byte(t, c);
		return;
	}
	if (n->word)
		n->whole = !n->depth;
	n->word = false;
	if (!space)
		put_token(n, t, c);
}
