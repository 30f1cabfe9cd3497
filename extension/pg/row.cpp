// Direct access to one row, through the table and index access methods the executor itself uses.
// Locks: the tables and indexes as the statement would; the row by the update itself.
#include <exception>

#include "extension/pg/row.hpp"

extern "C" {
#include "access/genam.h"
#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_index.h"
#include "executor/executor.h"
#include "nodes/primnodes.h"
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
bool is_plain_table(Relation table) {
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

// Gives a row, just rewritten, its entries in every index. Rare, so left to the executor.
void insert_index_entries(Relation table, TupleTableSlot* row) {
  EState* state = CreateExecutorState();
  ResultRelInfo* target = makeNode(ResultRelInfo);
  InitResultRelInfo(target, table, 1, nullptr, 0);
  ExecOpenIndices(target, false);
  compat_insert_index_tuples(target, row, state);
  ExecCloseIndices(target);
  FreeExecutorState(state);
}

// Whether the index is over columns as they are, and checks its keys at once.
bool is_plain_index(Relation index) {
  return index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisready &&
         index->rd_index->indimmediate && !index->rd_index->indisexclusion &&
         heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, nullptr);
}

// The column a predicate wants not to be null; 0 when it wants anything else.
AttrNumber wanted_column(Node* predicate) {
  if (!IsA(predicate, NullTest)) return 0;
  auto* test = reinterpret_cast<NullTest*>(predicate);
  if (test->nulltesttype != IS_NOT_NULL || test->argisrow || !IsA(test->arg, Var)) return 0;
  return reinterpret_cast<Var*>(test->arg)->varattno;
}

// Whether a partial index has an entry for the row. Its predicates are all of the kind that
// wanted_column() knows.
bool covers(Relation index, TupleTableSlot* row) {
  ListCell* cell;
  foreach (cell, RelationGetIndexPredicate(index))
    if (row->tts_isnull[wanted_column(static_cast<Node*>(lfirst(cell))) - 1]) return false;
  return true;
}

bool has_plain_predicate(Relation index) {
  ListCell* cell;
  foreach (cell, RelationGetIndexPredicate(index))
    if (wanted_column(static_cast<Node*>(lfirst(cell))) <= 0) return false;
  return true;
}

void insert_index_entry(Relation table, Relation index, TupleTableSlot* row) {
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
  for (int i = 0; i < index->rd_index->indnatts; ++i) {
    const int column = index->rd_index->indkey.values[i] - 1;
    values[i] = row->tts_values[column];
    nulls[i] = row->tts_isnull[column];
  }
  index_insert(index, values, nulls, &row->tts_tid, table,
               index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, nullptr);
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
  if (!is_plain_table(table_)) return false;
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

AppendedTable::AppendedTable(const char* table) : exceptions_(std::uncaught_exceptions()) {
  if (XactReadOnly) return;
  guarded([&] {
    table_ = table_open(object_of_purser(table), RowExclusiveLock);
    List* oids = RelationGetIndexList(table_);
    plain_ = is_plain_table(table_) && list_length(oids) <= most_indexes;
    if (!plain_) return;
    ListCell* cell;
    foreach (cell, oids) {
      Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
      indexes_[index_count_++] = index;
      plain_ = plain_ && is_plain_index(index) && has_plain_predicate(index);
    }
  });
}

AppendedTable::~AppendedTable() {
  if (table_ == nullptr || std::uncaught_exceptions() != exceptions_) return;
  for (int i = 0; i < index_count_; ++i) index_close(indexes_[i], NoLock);
  table_close(table_, NoLock);
}

bool AppendedTable::has_key(const char* index, std::string_view first, std::string_view second) {
  const Datum first_key = text(first).datum;
  const Datum second_key = text(second).datum;
  return guarded([&] {
    Relation searched = nullptr;
    for (int i = 0; i < index_count_; ++i)
      if (strcmp(RelationGetRelationName(indexes_[i]), index) == 0) searched = indexes_[i];
    if (searched == nullptr) elog(ERROR, "table has no index \"%s\"", index);
    TupleTableSlot* row = table_slot_create(table_, nullptr);
    IndexScanDesc scan = begin_scan(table_, searched);
    aim_scan(scan, first_key, second_key);
    const bool found = index_getnext_slot(scan, ForwardScanDirection, row);
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(row);
    return found;
  });
}

void AppendedTable::insert(std::span<const Value> columns) {
  guarded([&] {
    PreventCommandIfParallelMode("INSERT");
    TupleTableSlot* row = MakeSingleTupleTableSlot(RelationGetDescr(table_), &TTSOpsVirtual);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      row->tts_values[i] = columns[i].datum;
      row->tts_isnull[i] = columns[i].null;
    }
    ExecStoreVirtualTuple(row);
    table_tuple_insert(table_, row, GetCurrentCommandId(true), 0, nullptr);
    for (int i = 0; i < index_count_; ++i)
      if (covers(indexes_[i], row)) insert_index_entry(table_, indexes_[i], row);
    ExecDropSingleTupleTableSlot(row);
  });
}

}  // namespace purser::pg
