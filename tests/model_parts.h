/* What the files of the model filesystem share among themselves. */
#ifndef TESTS_MODEL_PARTS_H
#define TESTS_MODEL_PARTS_H

#include "model_tree.h"

int model_number(int node);                                           /* its inode */
int model_new(struct model *m, enum change_kind kind, unsigned mode); /* -1: there is no room */
void model_touch(struct model *m, int node, bool content);
/* A name comes and goes; a node without one is dropped. */
void model_attach(struct model *m, int directory, struct bytes name, int node);
void model_detach(struct model *m, int directory, struct bytes name);
struct bytes model_entry_name(const struct model_entry *e);

void model_notify(struct model *m, int directory, struct bytes name, unsigned flags);
void model_notify_rename(struct model *m, int from, struct bytes old, int to, struct bytes new);
#endif
