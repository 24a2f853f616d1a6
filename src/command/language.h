/* The language prise speaks to people: LC_ALL, LC_MESSAGES, LANG and LANGUAGE as everywhere. */
#ifndef COMMAND_LANGUAGE_H
#define COMMAND_LANGUAGE_H

/* Sets the locale for messages and characters (numbers and dates stay those of C: they are data)
 * and finds the catalogue: $PRISE_LOCALEDIR, else beside a program run from its build tree, else
 * where it was installed. Call once, before the first message. */
void language_begin(void);

#endif
