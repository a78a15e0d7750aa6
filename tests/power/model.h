/*
 * model - what the store must hold, kept beside it in plain arrays
 *
 * No SQL and no code of the store: history.c changes it with each verb that it calls, and
 * model_check asks the store, by its verbs alone, whether it agrees. Long texts are kept as their
 * hash. One struct without pointers, so that a turn is undone by copying.
 */
#pragma once

#include "store/store.h"

#define MODEL_RUNS 160
#define MODEL_TASKS 6
#define MODEL_KEYS 20
#define MODEL_SETTINGS 5
#define MODEL_SCHEDULES 2

struct model_text {
    uint64_t hash;
    size_t size;
};

struct model {
    int64_t serial;    // of the last turn
    uint64_t whole;    // hash of every row of every table (inspect.h)
    int64_t last_turn; // of the journal
    int64_t last_run;
    int run_count;
    struct model_run {
        int64_t id, task, revision_id, fence, scheduled_for, due_at, started_at, finished_at;
        int state, trigger, generation, attempts;
        bool handled;
        struct model_text payload;
    } runs[MODEL_RUNS];
    struct model_task {
        bool there, deleted;
        int64_t id, paused_at;
        int revision, generation;
        struct model_text definition;
        struct {
            bool there;
            int generation, dst;
            int64_t next_at;
        } cursors[MODEL_SCHEDULES];
    } tasks[MODEL_TASKS];
    struct {
        bool there;
        uint64_t fingerprint;
        int64_t expires_at;
        struct model_text body;
    } keys[MODEL_KEYS];
    struct {
        bool there;
        int64_t value;
    } settings[MODEL_SETTINGS];
};

struct model_text model_text_of(const char *text, size_t size);
void model_task_name(int task, char name[static 20]);
void model_key_name(int key, char name[static 20]);
void model_setting_name(int setting, char name[static 20]);
struct model_run *model_find_run(struct model *model, int64_t id); // NULL where there is none

// Whether the store answers what the model says. `why` says what differs; a STATUS_FAILED of the
// store differs, too.
bool model_check(const struct model *model, struct store *store, char *why, size_t size);
