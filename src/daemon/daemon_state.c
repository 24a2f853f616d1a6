/* The state directory. Only services that keep a record need one; without it the others run. */
#include "daemon/daemon_parts.h"

#include "base/err.h"

#include <libintl.h>
#include <stdio.h>

#define _(s) gettext(s)

void daemon_find_state(struct daemon *d)
{
	struct text path = TEXT_OVER(d->state_dir);

	d->state_err = place_state(&path);
	if (d->state_err)
		d->state_dir[0] = '\0';
	else
		d->state_err = place_make(d->state_dir);
}

static void daemon_advise_place(struct daemon_trouble *trouble)
{
	snprintf(trouble->advice, sizeof trouble->advice, "%s",
		 _("XDG_STATE_HOME=DIR before prise, with a directory that you may write"));
}

int daemon_check_state(const struct daemon *d, const struct service_row *row,
		       struct daemon_trouble *trouble)
{
	if (!d->state_err || !row->keeper || !row->keeper->record)
		return 0;
	if (d->state_dir[0])
		snprintf(trouble->message, sizeof trouble->message,
			 _("%s keeps its record in %s, which cannot be made: %s"), row->name,
			 d->state_dir, _(err_text(d->state_err)));
	else
		snprintf(trouble->message, sizeof trouble->message,
			 _("%s keeps a record, and neither HOME nor XDG_STATE_HOME says where"),
			 row->name);
	daemon_advise_place(trouble);
	return err_exit(d->state_err) == 9 ? d->state_err : ERR_SYSTEM;
}

int daemon_say_record(const struct daemon *d, const struct service_row *row, int err,
		      struct daemon_trouble *trouble)
{
	const char *record = row->keeper ? row->keeper->record : NULL;

	if (!row->keeper || err == ERR_MEMORY)
		return err;
	if (!record) {
		snprintf(trouble->message, sizeof trouble->message, _("%s cannot start: %s"),
			 row->name, _(err_text(err)));
		snprintf(trouble->advice, sizeof trouble->advice, "%s",
			 _("what the log says of it, one line before"));
		return err;
	}
	if (err == ERR_IN_USE) {
		snprintf(trouble->message, sizeof trouble->message,
			 _("another prise runs %s and owns its record, %s/%s"), row->name,
			 d->state_dir, record);
		snprintf(trouble->advice, sizeof trouble->advice, "%s",
			 _("XDG_STATE_HOME=DIR before prise: the second one keeps its record "
			   "there"));
	} else if (err == ERR_SYNTAX) {
		snprintf(trouble->message, sizeof trouble->message,
			 _("the record of %s is damaged: %s/%s"), row->name, d->state_dir, record);
		snprintf(trouble->advice, sizeof trouble->advice, "%s", _(row->keeper->mend));
		return ERR_DISK;
	} else if (err == ERR_RANGE) {
		snprintf(trouble->message, sizeof trouble->message,
			 _("the record of %s is of a later prise: %s/%s"), row->name, d->state_dir,
			 record);
		snprintf(trouble->advice, sizeof trouble->advice, "%s",
			 _("that prise, or XDG_STATE_HOME=DIR before this one"));
		return ERR_DISK;
	} else {
		snprintf(trouble->message, sizeof trouble->message,
			 _("%s cannot keep its record in %s: %s"), row->name, d->state_dir,
			 _(err_text(err)));
		daemon_advise_place(trouble);
	}
	return err;
}
