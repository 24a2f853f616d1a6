/* Where prise keeps what it must remember: where XDG says, and as root in the system's own
 * places. */
#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include "base/text.h"

enum { PLACE_BYTES = 4096 };

/* The state directory: $XDG_STATE_HOME/prise, else for root /var/lib/prise, else
 * $HOME/.local/state/prise. 0, or ERR_NO_FILE when no variable says where, ERR_TOO_LONG. */
int place_state(struct text *path);

/* The configuration directory: $XDG_CONFIG_HOME/prise, else for root /etc/prise, else
 * $HOME/.config/prise. */
int place_config(struct text *path);

/* The daemon's control socket: as root /run/prise/ctl, else $XDG_RUNTIME_DIR/prise/ctl, else `ctl`
 * in the state directory. Whoever moves root's state by XDG_STATE_HOME moves its socket too. */
int place_control(struct text *path);

/* Makes the directory and those above it, mode 0700. 0, ERR_PERMISSION, ERR_DISK, ... */
int place_make(const char *path);

#endif
