# shellcheck shell=bash
# apt with lists and sources of its own, for what the machine's apt is not set up for: other suites, sources. To be
# sourced, with the variable apt naming a directory of its own and die saying that it ends here.

# Prints "URI KEYRING" of the archive that the machine's own release comes from; KEYRING may be missing.
machine_archive() {
  local codename
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  {
    { cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } | awk -v suite="$codename" '
      function tell() {
        if (types ~ /(^| )deb( |$)/ && (" " suites " ") ~ (" " suite " ")) { split(uris, uri, " "); print uri[1], key }
        types = suites = uris = key = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { tell(); next }
      { name = tolower($1); value = $0; sub(/^[^:]*:[ \t]*/, "", value) }
      name == "types:" { types = value }
      name == "uris:" { uris = value }
      name == "suites:" { suites = value }
      name == "signed-by:" { key = value }
      END { tell() }'
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | awk -v suite="$codename" '
      $1 == "deb" {
        key = ""
        if (match($0, /signed-by=[^] ,]*/)) key = substr($0, RSTART + 10, RLENGTH - 10)
        sub(/\[[^]]*\]/, "")
        if ($3 == suite) print $2, key
      }'
  } | sed -n '1p' # not head: it would end the writers with a signal
}

# apt with lists and sources of its own: the machine's configuration stays as it is.
own_apt() {
  local tool=$1
  shift
  "$tool" -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
    -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o Dir::State::status="$apt/status" \
    -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# Makes the suite $1 the only source of own_apt; $2: deb, as a rule, or deb-src.
use_suite() {
  local uri key
  read -r uri key < <(machine_archive) || true
  [[ -n ${uri:-} ]] || die "no apt source of this machine is of its own Debian release"
  rm -rf "$apt"
  mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
  : >"$apt/status"
  echo "${2:-deb} ${key:+[signed-by=$key] }$uri $1 main" >"$apt/sources.list"
  own_apt apt-get update -o APT::Update::Error-Mode=any >"$apt/log" 2>&1 || {
    cat "$apt/log" >&2
    return 1
  }
}

# Downloads the package $1 and unpacks it into the directory $2.
unpack_package() {
  mkdir -p "$apt/debs"
  (cd "$apt/debs" && own_apt apt-get download "$1" >"$apt/log" 2>&1) || {
    cat "$apt/log" >&2
    return 1
  }
  dpkg -x "$apt/debs/$1"_*.deb "$2"
  rm -r "$apt/debs"
}
