// enforce_quota(): a trigger on an application's own table that makes its rows consume a quota, so
// that no path of code can go around it. Works for each row and, with transition tables, for each
// statement, which then counts once per account however many rows it touches.
//
// Locks: entitlements, by account, once per row or once per account of a statement.
#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "extension/entitlement.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/statement.hpp"

extern "C" {
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
}

namespace purser {

namespace {

[[noreturn]] void misused(const std::string& what, const char* next) {
  throw Error(sqlstate::invalid_argument, "enforce_quota: " + what, {}, next);
}

// A column of the table, read as text by its type's own output function.
class Column {
 public:
  Column(TupleDesc columns, const char* name) : name_(name) {
    number_ = pg::guarded([&] { return SPI_fnumber(columns, name); });
    if (number_ <= 0)
      misused("the table has no column \"" + name_ + "\"",
              "Name the column that holds the account, and one for the amount if there is one.");
    type_ = TupleDescAttr(columns, number_ - 1)->atttypid;
  }

  std::optional<std::string> read(TupleTableSlot* row) const {
    bool null = false;
    const char* text = pg::guarded([&]() -> const char* {
      const Datum value = slot_getattr(row, number_, &null);
      if (null) return "";
      Oid output = InvalidOid;
      bool is_toasted = false;
      getTypeOutputInfo(type_, &output, &is_toasted);
      return OidOutputFunctionCall(output, value);
    });
    return null ? std::nullopt : std::optional<std::string>(text);
  }

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  int number_ = 0;
  Oid type_ = InvalidOid;
};

std::int64_t whole_number(const Column& column, const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 0) return number;
  throw Error(sqlstate::invalid_amount,
              "column \"" + column.name() + "\" must hold a whole number of 0 or more, not " + text,
              {}, "A quota is counted in whole units.");
}

// What the trigger was created with: enforce_quota('feature', 'account column', 'amount column').
struct Enforcement {
  std::string feature;
  Column account;
  std::optional<Column> amount;  // absent where every row takes 1
};

Enforcement read_enforcement(const TriggerData& trigger) {
  const int count = trigger.tg_trigger->tgnargs;
  char** given = trigger.tg_trigger->tgargs;
  if (count < 2 || count > 3)
    misused("takes 2 or 3 arguments, not " + std::to_string(count),
            "For example enforce_quota('projects', 'owner_id').");
  TupleDesc columns = RelationGetDescr(trigger.tg_relation);
  Enforcement rule{given[0], Column(columns, given[1]), std::nullopt};
  if (count == 3) rule.amount.emplace(columns, given[2]);
  return rule;
}

// What the rows take from each account; what they give back is negative. Rows without an account
// take nothing.
using Shares = std::map<std::string, std::int64_t>;

void add_row(const Enforcement& rule, TupleTableSlot* row, int sign, Shares& shares) {
  const std::optional<std::string> account_id = rule.account.read(row);
  if (!account_id) return;
  std::int64_t amount = 1;
  if (rule.amount) {
    const std::optional<std::string> text = rule.amount->read(row);
    amount = text ? whole_number(*rule.amount, *text) : 0;
  }
  std::int64_t& share = shares[*account_id];
  if (__builtin_add_overflow(share, sign * amount, &share))
    throw Error(sqlstate::invalid_amount, "amounts of one statement are out of range", {},
                "Insert fewer rows at a time.");
}

void add_rows(const Enforcement& rule, TupleDesc columns, Tuplestorestate* rows, int sign,
              Shares& shares) {
  if (rows == nullptr) return;
  TupleTableSlot* row = pg::guarded([&] {
    tuplestore_rescan(rows);
    return MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
  });
  while (pg::guarded([&] { return tuplestore_gettupleslot(rows, true, false, row); }))
    add_row(rule, row, sign, shares);
  pg::guarded([&] { ExecDropSingleTupleTableSlot(row); });
}

Shares shares_of_statement(const TriggerData& trigger, const Enforcement& rule) {
  const bool inserts = TRIGGER_FIRED_BY_INSERT(trigger.tg_event);
  const bool deletes = TRIGGER_FIRED_BY_DELETE(trigger.tg_event);
  if ((!deletes && trigger.tg_newtable == nullptr) || (!inserts && trigger.tg_oldtable == nullptr))
    misused("a trigger for each statement needs the rows it is about",
            "Create it AFTER the event with REFERENCING NEW TABLE AS … (and OLD TABLE AS …).");
  Shares shares;
  TupleDesc columns = RelationGetDescr(trigger.tg_relation);
  add_rows(rule, columns, trigger.tg_newtable, +1, shares);
  add_rows(rule, columns, trigger.tg_oldtable, -1, shares);
  return shares;
}

Shares shares_of_row(const TriggerData& trigger, const Enforcement& rule) {
  Shares shares;
  if (TRIGGER_FIRED_BY_INSERT(trigger.tg_event)) {
    add_row(rule, trigger.tg_trigslot, +1, shares);
  } else if (TRIGGER_FIRED_BY_DELETE(trigger.tg_event)) {
    add_row(rule, trigger.tg_trigslot, -1, shares);
  } else {
    add_row(rule, trigger.tg_newslot, +1, shares);
    add_row(rule, trigger.tg_trigslot, -1, shares);
  }
  return shares;
}

// What is given back never takes more from the running period than it holds: rows of earlier
// periods were counted there.
void settle(const std::string& account_id, const std::string& feature, std::int64_t share,
            Catalog& plans, Instant now) {
  if (share == 0) return;
  Counter counter = locked_counter(account_id, feature, plans, now);
  if (share > 0) {
    require_allowed(account_id, {feature, counter.decide(share)}, share);
    counter.count(share);
  } else {
    counter.record(-std::min(-share, counter.row.state.used));
  }
  store(counter, now);
}

// A row trigger before the event hands on the row it was given.
Datum row_to_keep(const TriggerData& trigger) {
  if (!TRIGGER_FIRED_BEFORE(trigger.tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger.tg_event)) return 0;
  return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger.tg_event) ? trigger.tg_newtuple
                                                                   : trigger.tg_trigtuple);
}

}  // namespace

// Trigger: enforce_quota('feature', 'account column' [, 'amount column'])
PURSER_FUNCTION(purser_enforce_quota) {
  if (!CALLED_AS_TRIGGER(fcinfo)) misused("is a trigger function", "Use it in CREATE TRIGGER.");
  const TriggerData& trigger = *reinterpret_cast<TriggerData*>(fcinfo->context);
  if (TRIGGER_FIRED_BY_TRUNCATE(trigger.tg_event))
    misused("cannot tell what TRUNCATE removes", "Create it for INSERT, UPDATE and DELETE.");
  const Enforcement rule = read_enforcement(trigger);
  const Shares shares = TRIGGER_FIRED_FOR_ROW(trigger.tg_event)
                            ? shares_of_row(trigger, rule)
                            : shares_of_statement(trigger, rule);
  pg::Spi spi;
  const auto plans = catalog();
  plans->feature(rule.feature);
  const Instant now = pg::now();
  for (const auto& [account_id, share] : shares)
    settle(account_id, rule.feature, share, *plans, now);
  return row_to_keep(trigger);
}

}  // namespace purser
