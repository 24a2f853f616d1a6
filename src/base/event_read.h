/* An event as it comes back in: from the JSON of event_put_json, another process's. */
#ifndef BASE_EVENT_READ_H
#define BASE_EVENT_READ_H

#include "base/event.h"

enum { EVENT_NAMES_BYTES = 1024 };

/* Fills in `e`, whose names, type and service stand in `names`; of level EVENT_INFO, or EVENT_ERROR
 * for the type `error`. `host` is left aside, and so are base64 twins; values within values become
 * text. What does not fit is left out, and the event is `cut`. False when it is no sound object or
 * has no type. */
bool event_read_json(struct event *e, struct bytes json, char names[EVENT_NAMES_BYTES]);

#endif
