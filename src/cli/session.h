/*
 * session - one command at work
 *
 * Its options, the server it talks to, what it shows, and the ways of failing that all commands
 * share: reads the arguments, opens the client, does the work, closes everything. Ctrl-C ends it
 * with 130 from here on.
 *
 *     int pause_run(int argc, char **argv)
 *     {
 *         return session_run(argc, argv, pause_options, "NAME", pause);
 *     }
 */
#pragma once

#include "cli/client.h"
#include "cli/options.h"
#include "cli/screen.h"

struct session {
    const char *command;
    struct options options;
    struct client client;
    struct screen out; // standard output
    struct screen err; // standard error: words for people, never part of the answer
    bool json;         // --json
};

// `words` as for options_read. Gives the exit code.
int session_run(int argc, char **argv, const struct option_rule *rules, const char *words,
                enum leave (*work)(struct session *));

// "punctual NAME: ..." on standard error and the pointer to the help; always LEAVE_USAGE.
enum leave session_usage(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Asks; where the answer is not fine, says so (with --json the problem document goes to standard
// output too). The answer is the caller's in every case: client_answer_done.
enum leave session_ask(struct session *s, const struct request *request, struct answer *ret);
// Says what is wrong with an answer that session_ask's caller got by client_ask.
void session_complain(struct session *s, enum leave leave, const struct answer *answer,
                      const char *file);
// "/v1/tasks" + the word at a place + "/pause": what most commands ask for. LEAVE_USAGE for a word
// that can be no segment of a path. Inits `ret`, which is the caller's in every case.
enum leave session_path(struct session *s, const char *collection, size_t word, const char *rest,
                        struct buffer *ret);
// A GET of a path.
enum leave session_get(struct session *s, const char *path, struct answer *ret);
// A POST of a body (a reference that is taken; NULL: none).
enum leave session_post(struct session *s, const char *path, json_t *body, const char *key,
                        struct answer *ret);

// The same, and what comes is shown: as it is with --json, else by `show`.
typedef void show_answer(struct session *s, const json_t *answer);
enum leave session_show_get(struct session *s, const char *path, show_answer *show);
enum leave session_show_post(struct session *s, const char *path, json_t *body, const char *key,
                             show_answer *show);
// Follows cursors until as many members of `list` have come as --limit says (`otherwise` without
// it) or no more are there. What is shown is the first page with all members joined. `filters`:
// options that are parameters, see session_filters; NULL: none.
enum leave session_show_list(struct session *s, const char *path, const char *const *filters,
                             const char *list, int64_t otherwise, show_answer *show);

// Prints JSON as it is: on a terminal indented, else on one line.
void session_json(struct session *s, const json_t *value);
// A body of one text field, left out where value is NULL.
json_t *body_with(const char *name, const char *value);
// An instant given as RFC 3339, or as a duration before (sign -1) or after (1) now, in RFC 3339
// UTC. NULL where not given.
enum leave session_moment(struct session *s, const char *option, int sign,
                          char text[static MOMENT_TEXT], const char **ret);
// The options of these names (up to NULL) that were given, as members: --from and --to are moments,
// others texts.
enum leave session_filters(struct session *s, const char *const *names, json_t *members);
