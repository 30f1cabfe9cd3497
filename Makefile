# purser as a PGXS extension: make, make install, make installcheck, with PG_CONFIG honoured.
# make demo and make test need nothing but apt; see the README.

EXTENSION = purser
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" purser.control)
MODULE_big = purser

OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard core/*.cpp extension/*.cpp extension/pg/*.cpp)))

# The install script is joined from these, in this order.
SQL_MODULES = $(addprefix extension/sql/, \
	header.sql schema.sql basics.sql plans.sql pricing.sql accounts.sql subscriptions.sql subscription_changes.sql \
	overrides.sql quota.sql rates.sql credits.sql credit_holds.sql rate_cards.sql operation_holds.sql adjustments.sql import.sql \
	reconcile.sql requests.sql statements.sql refund_requests.sql reports.sql top_ups.sql run_due.sql codes.sql experiments.sql \
	deletion.sql privileges.sql dump.sql)
JOINED_SCRIPT = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(JOINED_SCRIPT)

# install comes first: it makes the extension and the catalogue that the others use.
REGRESS = install $(filter-out install,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
ISOLATION = $(patsubst specs/%.spec,%,$(sort $(wildcard specs/*.spec)))
EXTRA_CLEAN = purser--*.sql core/*.d extension/*.d extension/pg/*.d

PG_CONFIG ?= pg_config
PG_CPPFLAGS = -I$(CURDIR)
PG_CXXFLAGS = -std=c++20 -O2 -Wall -Wextra -Wno-unused-parameter -Wno-register \
	-fvisibility=hidden -MMD -MP $(if $(PURSER_WERROR),-Werror)
SHLIB_LINK = -lstdc++
# The library is C++; the server's just-in-time compiler could not inline it.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
else
# make demo and make test install the server first; the rest needs it.
all install installcheck clean:
	@echo "$(PG_CONFIG) was not found: install postgresql-server-dev-15, or set PG_CONFIG" >&2; exit 1
endif

$(JOINED_SCRIPT): $(SQL_MODULES) purser.control Makefile
	cat $(SQL_MODULES) > $@

-include $(OBJS:.o=.d)

.PHONY: demo test psql stop bench docs
demo test psql stop bench:
	@scripts/$@
