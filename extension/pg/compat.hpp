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

// 15 named the set-up of a materialized result SetSingleFuncCall, 15.? and 16 InitMaterializedSRF
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
