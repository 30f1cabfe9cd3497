// The allowance of a wallet at an instant: that of the plan the account was on then, in the version
// that was in force then. Months count from the subscription's anchor, without one from the
// account's first use. Locks nothing.
#include "extension/allowance.hpp"

#include <memory>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "extension/catalog.hpp"
#include "extension/pg/clock.hpp"
#include "extension/pg/result.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

namespace {

// Of a plan that did not exist yet, the first.
pg::Statement select_version_at{
    "SELECT coalesce("
    "  (SELECT pg_catalog.max(v.version) FROM purser.plan_version AS v"
    "    WHERE v.plan OPERATOR(pg_catalog.=) $1 AND v.published_at OPERATOR(pg_catalog.<=) $2), 1)",
    {TEXTOID, TIMESTAMPTZOID}};

class PlanInTime {
 public:
  PlanInTime(std::string_view account_id, std::string_view wallet, Instant now, View view)
      : wallet_(wallet),
        timeline_(load_timeline(account_id, view).value_or(AccountTimeline{now, "UTC", {}})) {}

  AllowanceTerms at(Instant instant) const {
    pg::check_for_interrupts();
    const ZoneOffset zone = pg::zone(timeline_.time_zone);
    SubscriptionTerms terms;
    if (timeline_.subscription) terms = terms_at(*timeline_.subscription, instant, zone);
    return {allowance_of(terms.live, instant), period_of(terms.live, instant, zone), terms.until,
            terms.live.has_value()};
  }

 private:
  Allowance allowance_of(const std::optional<Subscription>& live, Instant at) const {
    const auto plans = catalog();
    const std::string code = live ? live->plan : std::string(plans->setting("default_plan"));
    const auto latest = plans->plans().find(code);
    if (latest == plans->plans().end()) return {};  // credits need no plans
    std::optional<int> version = live ? live->pinned_version : std::nullopt;
    if (!version) version = version_at(*latest->second, at);
    const PlanCredits& credits = plans->version(code, version).credits;
    const auto found = credits.find(wallet_);
    return found == credits.end() ? Allowance() : found->second;
  }

  // The first version needs no look at its date.
  static int version_at(const PlanVersion& latest, Instant at) {
    if (latest.version == 1) return 1;
    return select_version_at.read({pg::text(latest.code), pg::timestamptz(at)})[0].int4(0);
  }

  Period period_of(const std::optional<Subscription>& live, Instant at,
                   const ZoneOffset& zone) const {
    if (!live)
      return period_at(anchored(Interval::month, to_local(timeline_.created_at, zone)), at, zone);
    if (live->status == SubscriptionStatus::trialing) return billing_period(*live, at, zone);
    return period_at(anchored(Interval::month, live->anchor), at, zone);
  }

  std::string wallet_;
  AccountTimeline timeline_;
};

}  // namespace

AllowanceSource allowance_source(std::string_view account_id, std::string_view wallet, Instant now,
                                 View view) {
  auto plan = std::make_shared<std::optional<PlanInTime>>();
  return [=, account = std::string(account_id), name = std::string(wallet)](Instant at) {
    if (!*plan) plan->emplace(account, name, now, view);
    return (*plan)->at(at);
  };
}

namespace {

std::string rollover_json(const Rollover& rollover) {
  std::string json = "{\"percent\":" + rollover.percent.to_string();
  if (rollover.max_multiple) json += ",\"max_multiple\":" + rollover.max_multiple->to_string();
  if (rollover.days) json += ",\"days\":" + std::to_string(*rollover.days);
  return json + "}";
}

}  // namespace

// allowance(account_id, wallet, at) → (allowance, rollover, period_start, period_end, subscribed)
PURSER_FUNCTION(purser_allowance) {
  const pg::Arguments arguments(fcinfo);
  const std::string_view account_id = arguments.id(0, "account_id");
  const std::string_view wallet = arguments.id(1, "wallet");
  const Instant now = pg::now();
  const Instant at = arguments.optional_timestamptz(2).value_or(now);
  if (at == begin_of_time || at == end_of_time)
    throw Error(sqlstate::invalid_argument, "argument \"at\" is infinite", {}, "Pass an instant.");
  pg::Spi spi;
  const AllowanceTerms terms = allowance_source(account_id, wallet, now, View::of_statement)(at);
  const Rollover& rollover = terms.allowance.rollover;
  return pg::composite(
      fcinfo, {pg::numeric(terms.allowance.amount),
               rollover.percent.is_zero() ? pg::null_value() : pg::jsonb(rollover_json(rollover)),
               pg::timestamptz(terms.period.start), pg::timestamptz(terms.period.end),
               pg::boolean(terms.subscribed)});
}

}  // namespace purser
