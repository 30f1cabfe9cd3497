// Direct access to one row, through the table and index access methods the executor itself uses.
// Locks: the table and its primary key as an UPDATE would; the row by the update itself.
#include <exception>

#include "extension/pg/row.hpp"

extern "C" {
#include "access/genam.h"
#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/snapmgr.h"
}

namespace purser::pg {

namespace {

// Whether an update may bypass the executor: nothing hangs on the table that only it would run.
bool is_plain(Relation table) {
  return table->rd_rel->relkind == RELKIND_RELATION && table->trigdesc == nullptr &&
         table->rd_rules == nullptr &&
         (table->rd_att->constr == nullptr || table->rd_att->constr->num_check == 0) &&
         table->rd_rel->relam == HEAP_TABLE_AM_OID;
}

Oid object_of_purser(const char* name) {
  return get_relname_relid(name, get_namespace_oid("purser", false));
}

// Fills `row` with one visible row after the other whose key in the index begins with these two,
// until stop() says so. False when it never does.
template <class Stop>
bool scan_index(Relation table, Oid index_id, Datum first, Datum second, TupleTableSlot* row,
                Stop stop) {
  Relation index = index_open(index_id, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ, first);
  ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ, second);
  keys[0].sk_collation = index->rd_indcollation[0];
  keys[1].sk_collation = index->rd_indcollation[1];
  IndexScanDesc scan = compat_index_beginscan(table, index, GetActiveSnapshot(), 2);
  index_rescan(scan, keys, 2, nullptr, 0);
  bool stopped = false;
  while (!stopped && index_getnext_slot(scan, ForwardScanDirection, row)) stopped = stop();
  index_endscan(scan);
  index_close(index, NoLock);
  return stopped;
}

bool fetch(Relation table, Oid index_id, Datum first, Datum second, TupleTableSlot* row) {
  return scan_index(table, index_id, first, second, row, [] { return true; });
}

// The table's primary key; false when it has none.
bool find_primary_key(Relation table, Oid* index_id) {
  RelationGetIndexList(table);
  *index_id = table->rd_pkindex;
  return OidIsValid(*index_id);
}

bool fetch_by_primary_key(Relation table, Datum first, Datum second, TupleTableSlot* row) {
  Oid primary_key = InvalidOid;
  if (!find_primary_key(table, &primary_key)) return false;
  if (!fetch(table, primary_key, first, second, row)) return false;
  slot_getallattrs(row);
  return true;
}

// Gives a row, just written, its entries in every index.
void insert_index_entries(Relation table, TupleTableSlot* row) {
  EState* state = CreateExecutorState();
  ResultRelInfo* target = makeNode(ResultRelInfo);
  InitResultRelInfo(target, table, 1, nullptr, 0);
  ExecOpenIndices(target, false);
  compat_insert_index_tuples(target, row, state);
  ExecCloseIndices(target);
  FreeExecutorState(state);
}

}  // namespace

Command::Command() : exceptions_(std::uncaught_exceptions()) {
  guarded([] {
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
  });
}

Command::~Command() {
  if (std::uncaught_exceptions() == exceptions_) PopActiveSnapshot();
}

KeyedRow::KeyedRow(const char* table) : exceptions_(std::uncaught_exceptions()) {
  if (XactReadOnly) return;  // also on a standby, where the table could not even be locked
  guarded([&] {
    table_ = table_open(object_of_purser(table), RowExclusiveLock);
    row_ = table_slot_create(table_, nullptr);
    next_ = MakeSingleTupleTableSlot(RelationGetDescr(table_), &TTSOpsVirtual);
  });
}

// An error leaves what is open to the transaction's own clean-up.
KeyedRow::~KeyedRow() {
  if (table_ == nullptr || std::uncaught_exceptions() != exceptions_) return;
  ExecDropSingleTupleTableSlot(next_);
  ExecDropSingleTupleTableSlot(row_);
  table_close(table_, NoLock);
}

bool KeyedRow::find(std::string_view first, std::string_view second) {
  if (table_ == nullptr) return false;
  const Datum first_key = text(first).datum;
  const Datum second_key = text(second).datum;
  return guarded([&] {
    return is_plain(table_) && fetch_by_primary_key(table_, first_key, second_key, row_);
  });
}

bool KeyedRow::find_among(std::string_view first, std::string_view second,
                          bool (*keep)(TupleTableSlot* row, void* act), void* act) {
  if (table_ == nullptr) return false;
  const Datum first_key = text(first).datum;
  const Datum second_key = text(second).datum;
  return guarded([&] {
    Oid primary_key = InvalidOid;
    if (!is_plain(table_) || !find_primary_key(table_, &primary_key)) return false;
    TupleTableSlot* each = table_slot_create(table_, nullptr);
    bool found = false;
    scan_index(table_, primary_key, first_key, second_key, each, [&] {
      slot_getallattrs(each);
      if (keep(each, act)) {
        ExecCopySlot(row_, each);
        found = true;
      }
      return false;
    });
    ExecDropSingleTupleTableSlot(each);
    if (found) slot_getallattrs(row_);
    return found;
  });
}

bool KeyedRow::update(std::span<const Change> changes) {
  return guarded([&] {
    PreventCommandIfParallelMode("UPDATE");
    const int columns = RelationGetDescr(table_)->natts;
    for (int i = 0; i < columns; ++i) {
      next_->tts_values[i] = row_->tts_values[i];
      next_->tts_isnull[i] = row_->tts_isnull[i];
    }
    for (const Change& change : changes) {
      next_->tts_values[change.column] = change.value.datum;
      next_->tts_isnull[change.column] = change.value.null;
    }
    ExecStoreVirtualTuple(next_);
    bool needs_index_entries = false;
    const TM_Result result =
        compat_tuple_update(table_, &row_->tts_tid, next_, &needs_index_entries);
    if (result != TM_Ok) return false;
    // Only when the new version did not fit on the page of the old one.
    if (needs_index_entries) insert_index_entries(table_, next_);
    return true;
  });
}

bool insert_row(const char* table, std::span<const Value> columns) {
  return guarded([&] {
    PreventCommandIfReadOnly("INSERT");
    PreventCommandIfParallelMode("INSERT");
    Relation relation = table_open(object_of_purser(table), RowExclusiveLock);
    const bool plain = is_plain(relation);
    if (plain) {
      TupleTableSlot* row = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
      for (std::size_t i = 0; i < columns.size(); ++i) {
        row->tts_values[i] = columns[i].datum;
        row->tts_isnull[i] = columns[i].null;
      }
      ExecStoreVirtualTuple(row);
      table_tuple_insert(relation, row, GetCurrentCommandId(true), 0, nullptr);
      insert_index_entries(relation, row);
      ExecDropSingleTupleTableSlot(row);
    }
    table_close(relation, NoLock);
    return plain;
  });
}

bool key_exists(const char* table, const char* index, std::string_view first,
                std::string_view second) {
  const Datum first_key = text(first).datum;
  const Datum second_key = text(second).datum;
  return guarded([&] {
    Relation relation = table_open(object_of_purser(table), AccessShareLock);
    TupleTableSlot* row = table_slot_create(relation, nullptr);
    const bool found = fetch(relation, object_of_purser(index), first_key, second_key, row);
    ExecDropSingleTupleTableSlot(row);
    table_close(relation, NoLock);
    return found;
  });
}

}  // namespace purser::pg
