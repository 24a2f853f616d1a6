# The front door: everything behind it is meson's.
PYTHON = /usr/bin/python3
prefix = /usr/local
DESTDIR =
FUZZ_SECONDS = 10

# Sanitizers end a program at its first fault. -O1 and lines alone: half the time to compile.
SANITIZED = -Dtests=enabled -Db_lundef=false -Ddebug=true -Doptimization=1 -Dc_args=-g1

all: build/release/build.ninja
	@ninja -C build/release

# Newer than tools/deps: what that lists is installed.
build/deps: tools/deps
	@tools/deps build
	@mkdir -p build && touch $@

build/release/build.ninja: | build/deps
	meson setup build/release -Dprefix=$(prefix) -Dtests=disabled

build/asan/build.ninja:
	meson setup build/asan $(SANITIZED) -Db_sanitize=address,undefined

build/tsan/build.ninja:
	meson setup build/tsan $(SANITIZED) -Db_sanitize=thread

build/fuzz/build.ninja:
	CC=clang meson setup build/fuzz $(SANITIZED) -Dfuzz=true

run: all
	@exec build/release/prise serve

test:
	@tools/deps test
	@$(MAKE) --no-print-directory build/release/build.ninja build/asan/build.ninja \
		build/tsan/build.ninja
	@meson configure build/release -Dtests=enabled
	@ninja -C build/release
	@ninja -C build/asan
	@ninja -C build/tsan prise threads
	@$(PYTHON) tools/test

check:
	@tools/deps check
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tools/check

bench:
	@tools/deps bench
	@$(MAKE) --no-print-directory all
	@$(PYTHON) bench/bench $(BENCH)

fuzz:
	@tools/deps check
	@$(MAKE) --no-print-directory build/fuzz/build.ninja
	@tools/fuzz $(FUZZ_SECONDS)

fmt:
	@tools/deps check
	@tools/sources | xargs clang-format -i

install: all
	@meson configure build/release -Dprefix=$(prefix)
	DESTDIR=$(DESTDIR) meson install -C build/release

clean:
	rm -rf build

.PHONY: all run test check bench fuzz fmt install clean
