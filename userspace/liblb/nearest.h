/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "did you mean": which known word was meant. Pure; called by whatever refuses an unknown key, name or command. */
#ifndef LB_NEAREST_H
#define LB_NEAREST_H

/* lb_nearest - the candidate nearest to @word (edit distance), NULL when none is near enough to be worth saying.
 * @candidates ends with NULL. */
const char *lb_nearest(const char *word, const char *const *candidates);

#endif
