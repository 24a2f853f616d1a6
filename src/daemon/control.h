/* The control socket (docs/protocols/control.md): a listener on a unix socket in the thread
 * of events. Commands publish there, readers follow. */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "base/place.h"
#include "daemon/events.h"

struct control_socket;

/* Opens the socket where place_control says, its directory made, mode 0600; as root 0660 and of
 * the group prise, if there is one. A dead daemon's is replaced. 0, or ERR_IN_USE (`*pid`: whose it
 * is, or 0), ERR_TOO_LONG, ERR_PERMISSION, ERR_NO_FILE, ... Before the thread of events starts. */
int control_open(struct control_socket **control, struct events *events, int *pid);

/* Ends its connections and takes the socket away; once the thread of events has ended. */
void control_close(struct control_socket *control);

/* The listening descriptor, and where it is in the file system. */
int control_descriptor(const struct control_socket *control);
const char *control_path(const struct control_socket *control);

/* Readers now, and events that readers were too slow for. Any thread. */
unsigned control_readers(const struct control_socket *control);
uint64_t control_missed(const struct control_socket *control);

#endif
