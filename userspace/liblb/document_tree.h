/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A YAML or JSON text as a tree of nodes with line numbers. The only module that includes libfyaml. Called by
 * document_read.c alone. */
#ifndef LB_DOCUMENT_TREE_H
#define LB_DOCUMENT_TREE_H

#include <stddef.h>

#include "err.h"

enum lb_node_kind { LB_NODE_NULL, LB_NODE_TEXT, LB_NODE_LIST, LB_NODE_MAP };

struct lb_node {
	enum lb_node_kind kind;
	unsigned int line;     /* from 1 */
	size_t nr;	       /* of elements, or of keys and values together */
	const char *text;      /* NULL_, TEXT */
	struct lb_node *first; /* LIST: elements; MAP: key, value, key, value; keys are TEXT */
	struct lb_node *next;
};

struct lb_tree {
	struct lb_node *root; /* NULL: the text has no content */
	struct lb_chunk *chunks;
};

/* No more nodes than this are read, nor decoded through aliases: some gigabytes of backends would come of a few lines.
 */
#define LB_TREE_NODES_MAX (4U << 20)
#define LB_TREE_BYTES_MAX (16U << 20)

/* lb_tree_read - 0; -EINVAL with @err's message and *@line (0: the whole text); -ENOMEM. lb_tree_fini also after an
 * error. */
int lb_tree_read(const char *text, size_t len, struct lb_tree *tree, unsigned int *line, struct lb_err *err);
void lb_tree_fini(struct lb_tree *tree);

#endif
