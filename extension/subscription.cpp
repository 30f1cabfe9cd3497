// Subscriptions seen from SQL: what one is now, and the rows that it stands for. Reads only; the
// functions that write are in sql/subscriptions.sql.
#include "extension/subscription.hpp"

#include <functional>
#include <stdexcept>

#include "core/error.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"

namespace purser {

namespace {

// Who made the rows that came by themselves.
constexpr char by_itself[] = "purser";

pg::Statement select_live{
    "SELECT a.time_zone, s.subscription_no, s.actor, s.next_actor, " PURSER_SUBSCRIPTION_COLUMNS
    "  FROM purser.account AS a"
    "  JOIN purser.subscription AS s"
    "    ON s.account_id OPERATOR(pg_catalog.=) a.account_id AND s.ended_at IS NULL"
    " WHERE a.account_id OPERATOR(pg_catalog.=) $1",
    {TEXTOID}};

pg::Statement select_last_end{
    "SELECT s.ended_at FROM purser.subscription AS s"
    " WHERE s.account_id OPERATOR(pg_catalog.=) $1"
    " ORDER BY s.subscription_no DESC LIMIT 1",
    {TEXTOID}};

// A live subscription with what the table says about it beside the rule.
struct LiveRow {
  std::string account_id;
  int number = 0;
  std::string actor;
  std::optional<std::string> next_actor;
  Subscription subscription;
};

struct Live {
  LiveRow row;
  std::string time_zone;
};

std::optional<Live> first_live(std::string_view account_id, const pg::Rows& rows) {
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  return Live{{std::string(account_id), row.int4(1), row.string(2), row.optional_text(3),
               *read_subscription(row, 4)},
              row.string(0)};
}

std::optional<Live> load_live(std::string_view account_id) {
  return first_live(account_id, select_live.read({pg::text(account_id)}));
}

LiveRow following(const LiveRow& ended, const DueTurn& due, Subscription next) {
  const bool arranged = due.turn == Turn::plan_changed && ended.next_actor;
  return {ended.account_id, ended.number + 1, arranged ? *ended.next_actor : by_itself,
          std::nullopt, std::move(next)};
}

pg::Value instant(const std::optional<Instant>& value) {
  return value ? pg::timestamptz(*value) : pg::null_value();
}

// A row of the table: live, or ended by a turn.
void add_row(pg::RowSet& result, const LiveRow& row, const std::optional<DueTurn>& end) {
  const Subscription& s = row.subscription;
  const std::optional<DueTurn> next = end ? std::nullopt : next_turn(s);
  result.add({pg::text(row.account_id),
              pg::int4(row.number),
              pg::text(s.plan),
              pg::int4(s.pinned_version),
              instant(s.pinned_until),
              pg::text(to_string(end ? ended_as(end->turn) : s.status)),
              pg::text(to_string(s.interval)),
              pg::timestamp(s.anchor),
              pg::timestamptz(s.started_at),
              instant(s.trial_ends_at),
              pg::text_or_null(s.fallback_plan),
              instant(s.grace_ends_at),
              instant(s.cancel_at),
              s.next ? pg::text(s.next->plan) : pg::null_value(),
              pg::int4(s.next ? s.next->pinned_version : std::nullopt),
              s.next ? pg::text(to_string(s.next->interval)) : pg::null_value(),
              s.next ? pg::timestamptz(s.next->at) : pg::null_value(),
              pg::text_or_null(row.next_actor),
              end ? pg::timestamptz(end->at) : pg::null_value(),
              end ? pg::text(to_string(end->turn)) : pg::null_value(),
              pg::text(row.actor),
              next ? pg::timestamptz(next->at) : pg::null_value()});
}

// The row that is live at `at`, nullopt when time has ended it; tells of each that ended before.
std::optional<LiveRow> live_at(LiveRow row, Instant at, const ZoneOffset& zone,
                               const std::function<void(const LiveRow&, const DueTurn&)>& ended) {
  for (;;) {
    const std::optional<DueTurn> due = next_turn(row.subscription);
    if (!due || due->at > at) return row;
    std::optional<Subscription> next = turned(row.subscription, *due, zone);
    if (ends(due->turn)) ended(row, *due);
    if (!next) return std::nullopt;
    if (ends(due->turn))
      row = following(row, *due, std::move(*next));
    else
      row.subscription = std::move(*next);
  }
}

std::optional<LiveRow> live_at(const Live& live, Instant at, const ZoneOffset& zone) {
  return live_at(live.row, at, zone, [](const LiveRow&, const DueTurn&) {});
}

Datum default_state(FunctionCallInfo fcinfo, const std::string& account_id) {
  const pg::Value none = pg::null_value();
  const PlanVersion& plan = catalog()->version(std::nullopt, std::nullopt);
  return pg::composite(
      fcinfo, {pg::text(account_id), none, pg::text(plan.code), pg::int4(plan.version), none, none,
               none, none, none, none, none, none, none, none, none, none, none, none, none});
}

Datum live_state(FunctionCallInfo fcinfo, const LiveRow& row, Instant now, const ZoneOffset& zone) {
  const Subscription& s = row.subscription;
  const Period period = billing_period(s, now, zone);
  const bool trialing = s.status == SubscriptionStatus::trialing;
  const bool past_due = s.status == SubscriptionStatus::past_due;
  return pg::composite(
      fcinfo,
      {pg::text(row.account_id), pg::int4(row.number), pg::text(s.plan),
       pg::int4(catalog()->version(s.plan, s.pinned_version).version),
       pg::text(to_string(s.status)), pg::int4(s.pinned_version), instant(s.pinned_until),
       pg::text(to_string(s.interval)), pg::timestamptz(period.start), pg::timestamptz(period.end),
       pg::timestamptz(s.started_at), instant(trialing ? s.trial_ends_at : std::nullopt),
       trialing ? pg::text_or_null(s.fallback_plan) : pg::null_value(),
       instant(past_due ? s.grace_ends_at : std::nullopt), instant(s.cancel_at),
       s.next ? pg::text(s.next->plan) : pg::null_value(),
       pg::int4(s.next ? s.next->pinned_version : std::nullopt),
       s.next ? pg::text(to_string(s.next->interval)) : pg::null_value(),
       s.next ? pg::timestamptz(s.next->at) : pg::null_value()});
}

Amount allowance(const pg::Arguments& arguments, int i, const char* name) {
  const Amount amount = arguments.amount(i, name);
  if (amount >= Amount()) return amount;
  throw Error(sqlstate::invalid_amount,
              std::string(name) + " must not be negative, not " + amount.to_string(), {},
              "An allowance is 0 or more.");
}

}  // namespace

std::optional<Subscription> read_subscription(const pg::Row& row, int first) {
  if (row.is_null(first)) return std::nullopt;
  const auto at = [&row, first](int column) { return first + column; };
  Subscription s;
  s.plan = row.string(at(0));
  s.pinned_version = row.optional_int4(at(1));
  s.pinned_until = row.optional_int8(at(2));
  if (!parse_subscription_status(row.text(at(3)), s.status) ||
      !parse_interval(row.text(at(4)), s.interval))
    throw std::logic_error("stored subscription to " + s.plan + " is not valid");
  s.anchor = row.int8(at(5));
  s.started_at = row.timestamptz(at(6));
  s.trial_ends_at = row.optional_int8(at(7));
  s.fallback_plan = row.optional_text(at(8));
  s.grace_ends_at = row.optional_int8(at(9));
  s.cancel_at = row.optional_int8(at(10));
  if (row.is_null(at(11))) return s;
  PlanChange next{row.string(at(11)), row.optional_int4(at(12)), Interval::month,
                  row.timestamptz(at(14))};
  if (!parse_interval(row.text(at(13)), next.interval))
    throw std::logic_error("stored change to " + next.plan + " is not valid");
  s.next = std::move(next);
  return s;
}

Instant subscription_until(std::string_view account_id) {
  if (const auto live = first_live(account_id, select_live.run({pg::text(account_id)})))
    return live_until(live->row.subscription, pg::zone(live->time_zone));
  const pg::Rows ended = select_last_end.run({pg::text(account_id)});
  return ended.empty() ? end_of_time : ended[0].timestamptz(0);
}

// _subscription_rows(account_id, at) → setof subscription
PURSER_FUNCTION(purser_subscription_rows) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const Instant at = arguments.optional_timestamptz(1).value_or(begin_of_time);
  pg::RowSet result(fcinfo);
  pg::Spi spi;
  const std::optional<Live> live = load_live(account_id);
  if (!live) return 0;
  const auto ended = [&result](const LiveRow& row, const DueTurn& due) {
    add_row(result, row, due);
  };
  if (const auto row = live_at(live->row, at, pg::zone(live->time_zone), ended))
    add_row(result, *row, std::nullopt);
  return 0;
}

// subscription(account_id) → subscription_state
PURSER_FUNCTION(purser_subscription) {
  const std::string account_id(pg::Arguments(fcinfo).id(0, "account_id"));
  const Instant now = pg::now();
  pg::Spi spi;
  const std::optional<Live> live = load_live(account_id);
  if (!live) return default_state(fcinfo, account_id);
  const ZoneOffset zone = pg::zone(live->time_zone);
  const std::optional<LiveRow> row = live_at(*live, now, zone);
  return row ? live_state(fcinfo, *row, now, zone) : default_state(fcinfo, account_id);
}

// prorated_allowance(account_id, old_amount, new_amount) → numeric
PURSER_FUNCTION(purser_prorated_allowance) {
  const pg::Arguments arguments(fcinfo);
  const std::string account_id(arguments.id(0, "account_id"));
  const Amount before = allowance(arguments, 1, "old_amount");
  const Amount after = allowance(arguments, 2, "new_amount");
  const Instant now = pg::now();
  pg::Spi spi;
  const std::optional<Live> live = load_live(account_id);
  const ZoneOffset zone = pg::zone(live ? live->time_zone : "UTC");
  const std::optional<LiveRow> row = live ? live_at(*live, now, zone) : std::nullopt;
  if (!row)
    throw Error(sqlstate::not_permitted, "account \"" + account_id + "\" has no subscription",
                "Only a billing period has a share that is left.",
                "Subscribe it with purser.subscribe() first.");
  const Period period = billing_period(row->subscription, now, zone);
  return pg::numeric(prorated(before, after, period, now)).datum;
}

}  // namespace purser
