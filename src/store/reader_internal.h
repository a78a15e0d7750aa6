/*
 * reader_internal - what the files of the reader share
 *
 * reader.c opens and answers about tasks and the journal, reader_runs.c about runs and attempts,
 * reader_audit.c for the auditor.
 * For those only.
 */
#pragma once

#include "store/database.h"
#include "store/reader.h"

struct reader {
    struct database database;
    sqlite3_stmt **tasks, **runs, **audit, **queues, **dead, **waits;
};

enum status reader_prepare_runs(struct reader *reader);
enum status reader_prepare_audit(struct reader *reader);
enum status reader_prepare_queues(struct reader *reader);
enum status reader_prepare_dead(struct reader *reader);
enum status reader_prepare_waits(struct reader *reader);
// The row of a task, deleted ones too. STATUS_NOT_FOUND.
enum status reader_find_task_row(struct reader *reader, const char *name, int64_t *ret);
