/*
 * log_file - the write-ahead log, written once a turn
 *
 * SQLite writes the log of a commit piece by piece, two system calls for each page. This VFS
 * (sqlite.org/vfs.html) gathers what is written one behind the other and hands it to the system as
 * one write, at the latest before the sync. All other files are the system's own. What is gathered
 * is not in the file: so it is only for a connection that syncs at each commit (synchronous =
 * FULL), since others read a commit's pages from the file once it has been synced.
 *
 * Used by sqlite.c, for the writer.
 */
#pragma once

// The name to open with: sits on the VFS that is the default at the first call. NULL where there is
// none.
const char *log_file_vfs(void);
