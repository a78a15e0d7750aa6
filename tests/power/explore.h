/*
 * explore - cuts the power after each operation of a history and looks at what is left
 *
 * At every point it makes images (platter.h), opens each as the next start would, and holds it to
 * P4: what was answered is there in full, the turn whose commit was under way wholly or not at all,
 * nothing else; SQLite finds the file whole and its rows make sense. Some images live on for a few
 * turns, and that life is cut, too.
 */
#pragma once

#include "history.h"
#include "platter.h"

struct tally {
    int64_t histories, lives, turns, checkpoints, begun_anew, cut_off, kills, cuts; // recorded
    int64_t points, images, by_cut[CUTS];
    int64_t by_op[OP_KINDS];              // points, by the operation before the cut
    int64_t relived;                      // images that lived on
    int64_t found_answered, found_trying; // what images held
};

struct search {
    int64_t points;     // at most so many; 0: every one
    int64_t only_point; // to replay: this one alone; -1: all
    bool shallow;       // no image lives on
    struct tally *tally;
    int64_t ret_point; // where the violation is
    char problem[900]; // "" if there is none
};

// False where an image breaks a promise. The history is closed; only its log and models are used.
bool explore(const struct history *h, struct search *search);

// Whether an image holds turn `answered`, or `trying` (0: none), and nothing else. `ret_found` says
// which; `h` supplies the models.
bool explore_image(const struct history *h, const struct image *image, int64_t answered,
                   int64_t trying, int64_t *ret_found, char *problem, size_t size);
