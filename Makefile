# SPDX-License-Identifier: MIT
# Builds, tests and installs the era tools and libera. `make help` lists the targets.
#
# Every tools/era_*.c is a command; the other tools/*.c are there for all commands. era/*.c and
# persistent-data/*.c are the library. Includes are written from the project's root.

VERSION = 1.0.0

# To be set on the command line.
KERNEL_SCENARIOS ?= snap-long crash-digesting
CFLAGS   ?= -O3 -g
CPPFLAGS ?=
LDFLAGS  ?=
WERROR   ?= -Werror
SANITIZE ?=
ISAL     ?= yes
PREFIX   ?= /usr/local
DESTDIR  ?=
PKG_CONFIG ?= pkg-config

# make V=1 shows the compiler's command lines.
Q = $(if $(V),,@)
say = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),@:,@echo '  $(1)')

sbindir = $(PREFIX)/sbin
libdir = $(PREFIX)/lib
plugindir = $(libdir)/nbdkit/plugins
includedir = $(PREFIX)/include
datadir = $(PREFIX)/share
mandir = $(datadir)/man
systemdsystemunitdir = $(PREFIX)/lib/systemd/system
bashcompdir = $(datadir)/bash-completion/completions

# --- what there is ---

COMMANDS := $(patsubst tools/%.c,%,$(sort $(wildcard tools/era_*.c)))
TOOL_OBJ := $(patsubst %.c,build/obj/%.o,$(filter-out tools/era_%.c,$(sort $(wildcard tools/*.c))))
LIB_OBJ  := $(patsubst %.c,build/obj/%.o,$(sort $(wildcard era/*.c persistent-data/*.c)))
TESTS    := $(patsubst tests/%.c,%,$(sort $(wildcard tests/test_*.c)))
DAMAGE   := $(patsubst tests/damage/%.c,%,$(sort $(wildcard tests/damage/*.c)))
SUPPORT_OBJ := $(patsubst %.c,build/obj/%.o,$(sort $(wildcard tests/support/*.c)))
PLUGIN_OBJ := $(patsubst %.c,build/pic/%.o,$(sort $(wildcard nbdkit/*.c)))
PLUGIN_LIB_OBJ := $(LIB_OBJ:build/obj/%=build/pic/%)
MAN8 := $(sort $(wildcard man8/*.8))
MAN1 := $(sort $(wildcard man1/*.1))
PUBLIC_HEADERS = era/era.h era/map.h persistent-data/block_io.h persistent-data/error.h \
	persistent-data/report.h

BIN = $(COMMANDS:%=build/bin/%)
BENCH_BIN = build/bench/bench build/bench/floor build/bench/generate build/bench/in_turn
LIB = build/lib/libera.a
TOOL_LIB = build/obj/tools.a
UNITS = $(patsubst systemd/%.in,build/%,$(wildcard systemd/*.service.in))
SCHEMAS = $(addprefix build/share/era/,era.rng changed.schema.json)

# --- libraries ---

package = $(shell $(PKG_CONFIG) $(1) $(2) 2>/dev/null)

EXPAT_CFLAGS := $(call package,--cflags,expat)
EXPAT_LIBS   := $(call package,--libs,expat)
XML2_CFLAGS  := $(call package,--cflags,libxml-2.0)
XML2_LIBS    := $(call package,--libs,libxml-2.0)

# ISA-L computes checksums faster. It is linked statically where that is possible.
ifeq ($(ISAL),yes)
ifneq ($(call package,--modversion,libisal),)
ISAL_CFLAGS := -DHAVE_ISAL $(call package,--cflags,libisal)
ISAL_LIBS   := $(call package,--libs-only-L,libisal) \
	$(if $(filter /%,$(shell $(CC) -print-file-name=libisal.a)),-l:libisal.a,-lisal)
endif
endif

# The plugin is built where nbdkit's header is there. It takes from the library what it needs.
ifneq ($(call package,--modversion,nbdkit),)
NBDKIT_CFLAGS := $(call package,--cflags,nbdkit)
PLUGIN = build/lib/nbdkit/plugins/nbdkit-era-plugin.so
endif

# --- flags ---

WARNINGS = -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers $(WERROR)

ifneq ($(SANITIZE),)
HARDENING = -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
else
# Fortified functions need the optimiser.
HARDENING = -fstack-protector-strong \
	$(if $(filter-out -O0,$(filter -O%,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif

ALL_CFLAGS = -std=gnu11 -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -pthread $(WARNINGS) $(HARDENING) \
	$(EXPAT_CFLAGS) $(ISAL_CFLAGS) $(MORE_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread -Wl,--as-needed $(HARDENING) $(CFLAGS) $(LDFLAGS)
LIBS = $(EXPAT_LIBS) $(ISAL_LIBS) $(MORE_LIBS)

# Only these see more than the rest does.
build/obj/tools/cli.o: private MORE_CFLAGS = -DERA_VERSION='"$(VERSION)"'
build/pic/nbdkit/%.o: private MORE_CFLAGS = $(NBDKIT_CFLAGS)
# Of the function that nbdkit's macro defines clang wants a declaration, too.
build/pic/nbdkit/era-plugin.o: private MORE_CFLAGS = $(NBDKIT_CFLAGS) -Wno-missing-prototypes
build/obj/tools/schema.o: private MORE_CFLAGS = $(XML2_CFLAGS)
build/bin/era_restore: private MORE_LIBS = $(XML2_LIBS)
build/bin/era_metadata_size: private MORE_LIBS = -lm
# Criterion's macros convert signs on their own account.
build/obj/tests/%.o: private MORE_CFLAGS = -Wno-conversion -Wno-sign-conversion $(XML2_CFLAGS)
build/tests/%: private MORE_LIBS = -lcriterion $(XML2_LIBS)

# --- building ---

.PHONY: all tests help FORCE
.DELETE_ON_ERROR:
.PRECIOUS: build/obj/%.o build/pic/%.o

all: $(BIN) $(LIB) $(SCHEMAS) $(PLUGIN)

tests: $(TESTS:%=build/tests/%) build/tests/faults.so $(DAMAGE:%=build/tests/%) $(BENCH_BIN)

help:
	@echo 'all        the commands in build/bin, the library in build/lib (the default)'
	@echo 'check      run all tests; installs the Debian packages they need, if run by root'
	@echo 'check-kernel  a real kernel in QEMU against the commands and era_map (see tests/kernel/README.md)'
	@echo 'bench-map  how fast a device is served while its writes are recorded'
	@echo 'demo       show the commands at work on metadata that a kernel wrote'
	@echo 'install    into PREFIX ($(PREFIX)), below DESTDIR; uninstall takes it away again'
	@echo 'lint       style, cppcheck, manual pages, scripts'
	@echo 'format     bring the sources into the style that lint asks for'
	@echo 'bench      measure the commands against plain loops and other implementations;'
	@echo '           BLOCKS=10000000 data blocks, ROUNDS=8, BENCH_DIR= for the inputs, PEER=dir'
	@echo 'valgrind   the commands under valgrind'
	@echo 'fuzz       fuzz the readers for SECONDS= each (60)'
	@echo 'coverage   which lines of the library no test reaches'
	@echo 'clean      remove build/'
	@echo 'Variables: CC CFLAGS CPPFLAGS LDFLAGS WERROR= SANITIZE=address,undefined ISAL=no V=1'

# All that a built file depends on besides its sources; changes only if one of them does.
define SETTINGS
$(CC) $(ALL_CFLAGS)
$(ALL_LDFLAGS) $(LIBS) $(XML2_CFLAGS) $(XML2_LIBS)
$(VERSION) $(LIB_OBJ) $(TOOL_OBJ) $(SUPPORT_OBJ) $(PLUGIN) $(PLUGIN_OBJ) $(PLUGIN_LIB_OBJ)
endef
export SETTINGS

build/settings: FORCE
	@mkdir -p build
	@$(PKG_CONFIG) --exists expat libxml-2.0 || \
		{ echo 'The development files of expat and libxml2 are missing: run tests/need build' >&2; exit 1; }
	@printf '%s\n' "$$SETTINGS" | cmp -s - $@ || printf '%s\n' "$$SETTINGS" > $@

build/obj/%.o: %.c build/settings
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

build/pic/%.o: %.c build/settings
	@mkdir -p $(@D)
	$(call say,compile $< for the plugin)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

build/lib/nbdkit/plugins/%.so: $(PLUGIN_OBJ) build/pic/libera.a
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ $(filter %.o %.a,$^) $(ISAL_LIBS)

build/pic/libera.a: $(PLUGIN_LIB_OBJ)

$(LIB): $(LIB_OBJ)
$(TOOL_LIB): $(TOOL_OBJ)
$(LIB) $(TOOL_LIB) build/pic/libera.a: build/settings
	@mkdir -p $(@D)
	$(call say,archive $@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

build/bin/%: build/obj/tools/%.o $(TOOL_LIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

build/tests/%: build/obj/tests/%.o $(SUPPORT_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

# What tests/faults.sh preloads. Sanitizers would be in the way.
build/tests/faults.so: tests/faults/preload.c build/settings
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -fno-builtin $(WARNINGS) -fPIC -shared -o $@ $<

# Small programs for tests/damage.sh.
build/tests/%: build/obj/tests/damage/%.o build/obj/tests/support/naive.o $(LIB)
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

build/bench/generate: build/obj/tests/bench/scatter.o
build/bench/bench: $(patsubst %,build/obj/tests/bench/%.o,device run table)
build/bench/in_turn: LIBS += -lnbd
build/bench/%: build/obj/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

# Commands look for the schema of XML at ../share/era, seen from where they are.
build/share/era/%: era/%
	@mkdir -p $(@D)
	$(call say,copy $@)
	$(Q)cp $< $@

-include $(wildcard build/obj/*/*.d build/obj/*/*/*.d build/pic/*/*.d)

# --- testing ---
# The packages may be installed only now, so that what depends on them is made by a second make, on
# all processors if the first was not told otherwise.
REMAKE = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: check check-kernel bench-map demo valgrind fuzz coverage lint format bench
check:
	@tests/need build test
	@$(REMAKE) all tests
	@MAKE='$(MAKE)' CC='$(CC)' SANITIZE='$(SANITIZE)' ERA_SANITIZED='$(if $(SANITIZE),1)' \
		tests/run-all $(TESTS:%=build/tests/%)

# Exit status 77 of the scripts: something cannot be had here, and they have said what.
check-kernel:
	@tests/need build test kernel
	@$(REMAKE) all build/tests/kernel/play
	@tests/kernel/check $(KERNEL_SCENARIOS) || [ $$? = 77 ]
	@tests/kernel/check-map || [ $$? = 77 ]
	@tests/kernel/check-cache || [ $$? = 77 ]
	@tests/kernel/check-guides || [ $$? = 77 ]
	@tests/kernel/check-size || [ $$? = 77 ]

bench-map:
	@tests/need build test bench
	@$(REMAKE) all build/bench/in_turn
	@tests/bench/map.sh

demo:
	@tests/need build
	@$(REMAKE) -s all
	@tests/demo.sh

# Where thin-provisioning-tools' commands are, or other ones of their names.
PEER ?= $(patsubst %/era_check,%,$(firstword $(wildcard /usr/sbin/era_check /sbin/era_check)))
BENCH_DIR ?= build/bench/inputs
bench:
	@tests/need build
	@$(REMAKE) -s all $(BENCH_BIN)
	@build/bench/bench -n $(or $(BLOCKS),10000000) -r $(or $(ROUNDS),8) -d $(BENCH_DIR) \
		-j build/bench.json -p '$(PEER)'

valgrind:
	@tests/need build valgrind
	@$(REMAKE) SANITIZE= all
	@tests/run-valgrind

# SECONDS is one of the shell's own variables, so only make's is used.
fuzz:
	@tests/need build fuzz
	@$(REMAKE) -s all
	@tests/fuzz/run $(or $(SECONDS),60)

coverage:
	@tests/need build test
	@tests/coverage

C_FILES = $(wildcard era/*.[ch] persistent-data/*.[ch] nbdkit/*.[ch] tools/*.[ch] tests/*.[ch] tests/support/*.[ch] tests/faults/*.c tests/fuzz/*.[ch] tests/damage/*.c tests/kernel/*.c tests/bench/*.[ch])
SCRIPTS = $(filter-out %.c %.md,$(wildcard .ci/run tests/need tests/run-* tests/coverage tests/fuzz/run tests/*.sh tests/bench/*.sh tests/kernel/* completions/* tests/support/*.sh tests/doc-blocks))

lint:
	@tests/need build test lint
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --std=c11 --language=c --error-exitcode=1 -j2 \
		--enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem \
		-I. -D__GNUC__ $(ISAL_CFLAGS) era persistent-data nbdkit tools
	for page in $(MAN8) $(MAN1); do mandoc -T lint -W warning $$page || exit 1; done
	shellcheck -S warning -e SC1007,SC2187 $(SCRIPTS)
	xmllint --noout era/era.rng

format:
	@tests/need lint
	clang-format -i $(C_FILES)

# --- installing ---

.PHONY: install uninstall clean
installed = $(addprefix $(DESTDIR), $(COMMANDS:%=$(sbindir)/%) $(libdir)/libera.a \
	$(libdir)/pkgconfig/libera.pc $(PUBLIC_HEADERS:%=$(includedir)/libera/%) \
	$(SCHEMAS:build/share/%=$(datadir)/%) $(UNITS:build/%=$(systemdsystemunitdir)/%) \
	$(MAN8:%=$(mandir)/%) $(MAN1:%=$(mandir)/%) $(COMMANDS:%=$(bashcompdir)/%) \
	$(if $(PLUGIN),$(plugindir)/$(notdir $(PLUGIN))))

build/%.service: systemd/%.service.in Makefile FORCE
	@mkdir -p $(@D)
	sed -e 's|@SBINDIR@|$(sbindir)|' $< > $@

build/libera.pc: libera.pc.in Makefile FORCE
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@ISAL_LIBS@|$(strip $(ISAL_LIBS))|' \
		-e 's|@EXPAT_LIBS@|$(strip $(EXPAT_LIBS))|' $< > $@

install: all build/libera.pc $(UNITS)
	install -d $(sort $(dir $(installed)))
	install -m 755 $(BIN) $(DESTDIR)$(sbindir)
	install -m 644 $(LIB) $(DESTDIR)$(libdir)
	$(if $(PLUGIN),install -m 755 $(PLUGIN) $(DESTDIR)$(plugindir))
	install -m 644 build/libera.pc $(DESTDIR)$(libdir)/pkgconfig
	for header in $(PUBLIC_HEADERS); do \
		install -m 644 $$header $(DESTDIR)$(includedir)/libera/$$header || exit 1; done
	install -m 644 $(SCHEMAS) $(DESTDIR)$(datadir)/era
	install -m 644 $(UNITS) $(DESTDIR)$(systemdsystemunitdir)
	for page in $(MAN8); do \
		install -m 644 $$page $(DESTDIR)$(mandir)/$$page || exit 1; done
	for page in $(MAN1); do \
		install -m 644 $$page $(DESTDIR)$(mandir)/$$page || exit 1; done
	for command in $(COMMANDS); do \
		install -m 644 completions/era_tools $(DESTDIR)$(bashcompdir)/$$command || exit 1; done

uninstall:
	rm -f $(installed)
	-rmdir $(DESTDIR)$(includedir)/libera/* $(DESTDIR)$(includedir)/libera $(DESTDIR)$(datadir)/era

clean:
	rm -rf build
