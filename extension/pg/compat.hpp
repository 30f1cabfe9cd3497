// Every difference between PostgreSQL 14 and 18 that we meet, each with the change that made it.
#pragma once

#if PG_VERSION_NUM < 140000
#error "purser needs PostgreSQL 14 or later"
#endif

// 16 moved the macros for variable-length values out of postgres.h (d952373a987).
#if PG_VERSION_NUM >= 160000
extern "C" {
#include "varatt.h"
}
#endif

// 15 named the set-up of a materialized result SetSingleFuncCall, 15.1 and 16 InitMaterializedSRF
// (a19e5cee635); 14 has neither, so there the fields are set by hand.
#if PG_VERSION_NUM < 150000
extern "C" {
#include "utils/tuplestore.h"
}
inline void InitMaterializedSRF(FunctionCallInfo fcinfo, uint32) {
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result == nullptr || !IsA(result, ReturnSetInfo) ||
      (result->allowedModes & SFRM_Materialize) == 0)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("set-valued function called in context that cannot accept a set")));
  MemoryContext caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
  TupleDesc row_type = nullptr;
  if (get_call_result_type(fcinfo, nullptr, &row_type) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  result->returnMode = SFRM_Materialize;
  result->setResult = tuplestore_begin_heap(true, false, work_mem);
  result->setDesc = BlessTupleDesc(CreateTupleDescCopy(row_type));
  MemoryContextSwitchTo(caller);
}
#endif

// 15 renamed EmitWarningsOnPlaceholders and made it refuse later placeholders (88103567cb8).
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

// The first minor releases of 14 and 15 lose digits of what int64_div_fast_to_numeric() cannot
// scale within 64 bits (seen in 14.2; b2d47928908 made it exact). A server may be older than its
// headers.
#if PG_VERSION_NUM < 160000
constexpr int64 compat_most_divided_exactly = PG_INT64_MAX / 100;
#else
constexpr int64 compat_most_divided_exactly = PG_INT64_MAX;
#endif

// 15 wants shared memory asked for in a hook of its own, once every library is loaded
// (4f2400cb3f1).
extern "C" {
#include "storage/ipc.h"
#include "storage/shmem.h"
}
using SharedMemorySize = Size (*)();
#if PG_VERSION_NUM >= 150000
inline SharedMemorySize compat_shared_memory_size = nullptr;
inline shmem_request_hook_type compat_next_request_hook = nullptr;
inline void compat_request_hook() {
  if (compat_next_request_hook != nullptr) compat_next_request_hook();
  RequestAddinShmemSpace(compat_shared_memory_size());
}
#endif
inline void compat_request_shared_memory(SharedMemorySize size) {
#if PG_VERSION_NUM >= 150000
  compat_shared_memory_size = size;
  compat_next_request_hook = shmem_request_hook;
  shmem_request_hook = compat_request_hook;
#else
  RequestAddinShmemSpace(size());
#endif
}

// 18 lets a module name itself, and its plain form leaves members of the block unset, which C++
// warns about (9324c8c5806).
#if PG_VERSION_NUM >= 180000
#define PURSER_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "purser", .version = nullptr)
#else
#define PURSER_MODULE_MAGIC PG_MODULE_MAGIC
#endif

// How one row is read and rewritten without the executor.
extern "C" {
#include "access/genam.h"
#include "access/tableam.h"
#include "executor/executor.h"
}

// 18 passes an optional struct to count what an index scan did (0fbceae841c).
inline IndexScanDesc compat_index_beginscan(Relation table, Relation index, Snapshot snapshot,
                                            int keys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

// 16 tells all index entries from those of summarizing indexes alone (19d8e2308bc).
inline TM_Result compat_tuple_update(Relation table, ItemPointer tid, TupleTableSlot* row,
                                     bool* needs_index_entries) {
  TM_FailureData failure;
  LockTupleMode lock_mode;
#if PG_VERSION_NUM >= 160000
  TU_UpdateIndexes updated;
#else
  bool updated;
#endif
  const TM_Result result =
      table_tuple_update(table, tid, row, GetCurrentCommandId(true), GetActiveSnapshot(),
                         InvalidSnapshot, true, &failure, &lock_mode, &updated);
#if PG_VERSION_NUM >= 160000
  *needs_index_entries = updated == TU_All;
#else
  *needs_index_entries = updated;
#endif
  return result;
}

// Also for an update, whose columns it would look up in a range table that only a query has.
inline void compat_insert_index_tuples(ResultRelInfo* target, TupleTableSlot* row, EState* state) {
  constexpr bool is_update = false;
#if PG_VERSION_NUM >= 160000
  ExecInsertIndexTuples(target, row, state, is_update, false, nullptr, NIL, false);
#else
  ExecInsertIndexTuples(target, row, state, is_update, false, nullptr, NIL);
#endif
}

// 17 numbers backends by their slot of shared memory alone (024c5211175).
extern "C" {
#include "miscadmin.h"
#include "storage/proc.h"
}
inline int compat_backend_number() {
#if PG_VERSION_NUM >= 170000
  return MyProcNumber;
#else
  return MyBackendId;
#endif
}

// 15 added a list of columns to ON DELETE SET NULL and SET DEFAULT (d6f96ed94e7). Text of a query
// on pg_constraint AS c.
#if PG_VERSION_NUM >= 150000
#define PURSER_CONFDELSETCOLS "c.confdelsetcols"
#else
#define PURSER_CONFDELSETCOLS "NULL::pg_catalog.int2[]"
#endif
