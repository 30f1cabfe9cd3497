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

IndexScanDesc begin_scan(Relation table, Relation index) {
  return compat_index_beginscan(table, index, GetActiveSnapshot(), 2);
}

// What is fetched next from the scan are the visible rows whose key begins with these two.
void aim_scan(IndexScanDesc scan, Datum first, Datum second) {
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ, first);
  ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ, second);
  keys[0].sk_collation = scan->indexRelation->rd_indcollation[0];
  keys[1].sk_collation = scan->indexRelation->rd_indcollation[1];
  index_rescan(scan, keys, 2, nullptr, 0);
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
  if (scan_ != nullptr) {
    index_endscan(scan_);
    index_close(index_, NoLock);
  }
  ExecDropSingleTupleTableSlot(next_);
  ExecDropSingleTupleTableSlot(row_);
  table_close(table_, NoLock);
}

bool KeyedRow::aim(Datum first, Datum second) {
  if (!is_plain(table_)) return false;
  if (scan_ == nullptr) {
    RelationGetIndexList(table_);
    if (!OidIsValid(table_->rd_pkindex)) return false;
    index_ = index_open(table_->rd_pkindex, AccessShareLock);
    scan_ = begin_scan(table_, index_);
  }
  aim_scan(scan_, first, second);
  return true;
}

bool KeyedRow::find(std::string_view first, std::string_view second) {
  if (table_ == nullptr) return false;
  const Datum first_key = text(first).datum;
  const Datum second_key = text(second).datum;
  return guarded([&] {
    if (!aim(first_key, second_key)) return false;
    if (!index_getnext_slot(scan_, ForwardScanDirection, row_)) return false;
    slot_getallattrs(row_);
    return true;
  });
}

bool KeyedRow::find_among(std::string_view first, std::string_view second,
                          bool (*keep)(TupleTableSlot* row, void* act), void* act) {
  if (table_ == nullptr) return false;
  const Datum first_key = text(first).datum;
  const Datum second_key = text(second).datum;
  return guarded([&] {
    if (!aim(first_key, second_key)) return false;
    TupleTableSlot* each = table_slot_create(table_, nullptr);
    bool found = false;
    while (index_getnext_slot(scan_, ForwardScanDirection, each)) {
      slot_getallattrs(each);
      if (!keep(each, act)) continue;
      ExecCopySlot(row_, each);
      found = true;
    }
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
    Relation searched = index_open(object_of_purser(index), AccessShareLock);
    TupleTableSlot* row = table_slot_create(relation, nullptr);
    IndexScanDesc scan = begin_scan(relation, searched);
    aim_scan(scan, first_key, second_key);
    const bool found = index_getnext_slot(scan, ForwardScanDirection, row);
    index_endscan(scan);
    index_close(searched, NoLock);
    ExecDropSingleTupleTableSlot(row);
    table_close(relation, NoLock);
    return found;
  });
}

}  // namespace purser::pg
