// Loads the catalog and forgets it when it may have changed.
#include <string>

#include "core/error.hpp"
#include "core/plan.hpp"
#include "extension/catalog.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace purser {

namespace {

// The backend cache: the only mutable state of a session.
struct Cache {
  std::shared_ptr<Catalog> catalog;
  std::uint64_t generation = 0;         // counts invalidations
  std::uint64_t loaded_generation = 0;  // of `catalog`
  Oid watched = InvalidOid;             // the table whose invalidations mean "changed"
};
Cache cache;

pg::Statement select_features{"SELECT code, definition FROM purser.feature", {}};

pg::Statement select_settings{"SELECT name, value FROM purser.setting", {}};

pg::Statement select_latest_plans{
    "SELECT DISTINCT ON (plan) plan, version, definition FROM purser.plan_version"
    " ORDER BY plan, version DESC",
    {}};

pg::Statement select_plan_version{
    "SELECT plan, version, definition FROM purser.plan_version"
    " WHERE plan OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) $2",
    {TEXTOID, INT4OID}};

pg::Statement select_rate_cards{
    "SELECT rate_card, version, effective_from FROM purser.rate_card_version"
    " ORDER BY rate_card, effective_from, version",
    {}};

pg::Statement select_rate_card{
    "SELECT definition FROM purser.rate_card_version"
    " WHERE rate_card OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) $2",
    {TEXTOID, INT4OID}};

std::shared_ptr<const RateCard> stored_rate_card(std::string_view name, int version) {
  pg::Spi spi;
  const pg::Rows rows = select_rate_card.run({pg::text(name), pg::int4(version)});
  auto card = std::make_shared<RateCard>();
  if (rows.empty() || !read_rate_card(rows[0].jsonb(0), *card).empty())
    throw std::logic_error("stored version " + std::to_string(version) + " of rate card " +
                           std::string(name) + " is not valid");
  card->name = name;
  return card;
}

Feature stored_feature(const pg::Row& row) {
  Feature feature;
  const std::string code = row.string(0);
  if (!read_feature(code, row.jsonb(1), feature).empty())
    throw std::logic_error("stored feature " + code + " is not valid");
  return feature;
}

Catalog::Version stored_version(const pg::Row& row, const FeatureCatalog& features) {
  auto version = std::make_shared<PlanVersion>();
  const std::string code = row.string(0);
  if (!read_plan(row.jsonb(2), features, *version).empty())
    throw std::logic_error("stored version " + std::to_string(row.int4(1)) + " of plan " + code +
                           " is not valid");
  version->code = code;
  version->version = row.int4(1);
  return version;
}

[[noreturn]] void unknown_plan(std::string_view plan, std::optional<int> pinned) {
  throw Error(sqlstate::unknown_name,
              "plan \"" + std::string(plan) + "\"" +
                  (pinned ? " has no version " + std::to_string(*pinned) : " is not published"),
              {}, "Publish it with purser.publish_plan().");
}

// Only raises a flag: it runs where no query may.
void relation_changed(Datum, Oid relation) {
  if (relation == InvalidOid || relation == cache.watched) ++cache.generation;
}

}  // namespace

const Feature& Catalog::feature(std::string_view code) const {
  const auto found = features_.find(code);
  if (found == features_.end())
    throw Error(sqlstate::unknown_name, "unknown feature \"" + std::string(code) + "\"", {},
                "Declare it with purser.declare_features().");
  return found->second;
}

std::string_view Catalog::setting(std::string_view name) const {
  const auto found = settings_.find(name);
  return found == settings_.end() ? std::string_view() : found->second;
}

const PlanVersion& Catalog::version(const std::optional<std::string>& plan,
                                    std::optional<int> pinned) {
  const std::string code = plan ? *plan : std::string(setting("default_plan"));
  if (const PlanVersion* cached = cached_version(code, pinned)) return *cached;
  if (!pinned) unknown_plan(code, pinned);
  pg::Spi spi;
  const pg::Rows rows = select_plan_version.run({pg::text(code), pg::int4(*pinned)});
  if (rows.empty()) unknown_plan(code, pinned);
  return *(pinned_[{code, *pinned}] = stored_version(rows[0], features_));
}

const PlanVersion* Catalog::cached_version(std::string_view plan, std::optional<int> pinned) const {
  if (plan.empty()) plan = setting("default_plan");
  if (pinned) {
    const auto found = pinned_.find({std::string(plan), *pinned});
    return found == pinned_.end() ? nullptr : found->second.get();
  }
  const auto found = latest_.find(plan);
  return found == latest_.end() ? nullptr : found->second.get();
}

const PublishedCard& Catalog::rate_card(std::string_view name, Instant at) {
  const auto found = rate_cards_.find(name);
  PublishedCard* in_force = nullptr;
  if (found != rate_cards_.end())
    for (PublishedCard& published : found->second)
      if (published.effective_from <= at) in_force = &published;
  if (in_force == nullptr)
    throw Error(
        sqlstate::unknown_name, "rate card \"" + std::string(name) + "\" has no version in force",
        {}, "Publish it with purser.publish_rate_card(); the setting rate_card names the card.");
  if (!in_force->card) in_force->card = stored_rate_card(name, in_force->version);
  return *in_force;
}

const RateCard& Catalog::rate_card_version(std::string_view name, int version) {
  const auto found = rate_cards_.find(name);
  if (found != rate_cards_.end())
    for (PublishedCard& published : found->second) {
      if (published.version != version) continue;
      if (!published.card) published.card = stored_rate_card(name, version);
      return *published.card;
    }
  throw Error(sqlstate::unknown_name,
              "rate card \"" + std::string(name) + "\" has no version " + std::to_string(version),
              {}, "purser.rate_card_history() lists the versions of a card.");
}

FeatureCatalog Catalog::load_features() {
  FeatureCatalog loaded;
  pg::Spi spi;
  pg::NewestSnapshot snapshot;
  const pg::Rows features = select_features.read({});
  for (std::uint64_t i = 0; i < features.size(); ++i) {
    Feature feature = stored_feature(features[i]);
    loaded.emplace(feature.code, std::move(feature));
  }
  return loaded;
}

std::shared_ptr<Catalog> Catalog::load() {
  auto loaded = std::make_shared<Catalog>();
  pg::Spi spi;
  pg::NewestSnapshot snapshot;
  loaded->features_ = load_features();
  const pg::Rows settings = select_settings.read({});
  for (std::uint64_t i = 0; i < settings.size(); ++i)
    loaded->settings_.emplace(settings[i].string(0), settings[i].string(1));
  loaded->settings_.emplace("default_plan", "free");  // until they are set
  loaded->settings_.emplace("correction_days", "90");
  loaded->settings_.emplace("rate_card", "default");
  loaded->settings_.emplace("low_balance", "100");
  loaded->low_balance_ = Amount::parse(loaded->setting("low_balance"));
  loaded->settings_.emplace("expiry_grace_days", "0");
  const pg::Rows cards = select_rate_cards.read({});
  for (std::uint64_t i = 0; i < cards.size(); ++i)
    loaded->rate_cards_[cards[i].string(0)].push_back(
        {cards[i].int4(1), cards[i].timestamptz(2), nullptr});
  const pg::Rows plans = select_latest_plans.read({});
  for (std::uint64_t i = 0; i < plans.size(); ++i)
    loaded->latest_.emplace(plans[i].string(0), stored_version(plans[i], loaded->features_));
  return loaded;
}

std::shared_ptr<Catalog> catalog() {
  // A statement inside a transaction that already holds its locks would not look for messages.
  pg::guarded([] { AcceptInvalidationMessages(); });
  while (cache.catalog == nullptr || cache.loaded_generation != cache.generation) {
    cache.watched = pg::guarded(
        [] { return get_relname_relid("plan_version", get_namespace_oid("purser", false)); });
    const std::uint64_t before = cache.generation;
    cache.catalog = Catalog::load();
    cache.loaded_generation = before;  // a change met while loading makes us load again
  }
  return cache.catalog;
}

std::uint32_t installation() {
  return cache.watched;
}

const Catalog* loaded_catalog() {
  return cache.catalog.get();
}

void register_catalog_callbacks() {
  CacheRegisterRelcacheCallback(relation_changed, 0);
}

// Trigger on the catalog's tables: tells every session, with the commit of this transaction.
PURSER_FUNCTION(purser_catalog_changed) {
  pg::guarded([] {
    CacheInvalidateRelcacheByRelid(
        get_relname_relid("plan_version", get_namespace_oid("purser", false)));
  });
  return PointerGetDatum(nullptr);
}

}  // namespace purser
