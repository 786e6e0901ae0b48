# The smallest representation that keeps the contract: eight numbers made of the digest of the file's bytes, in busybox sh.
# FAULT, which is built into the image, names the one thing that it does wrong.

LIST=/tmp/list RECORDS=/output/.records SIGNATURE="digits 1"
LF='
'
TAB=$(printf '\t') FF=$(printf '\377')

fault() { [ "$FAULT" = "$1" ]; }
refuse() { fault silent || echo "representation: $1" >&2; fault wrong-code && exit 1; exit 2; }
is_number() { case "$1" in '' | *[!0-9]*) return 1 ;; esac; }

# ---- start ----
fault needs-terminal && ! [ -t 0 ] && exit 1
fault hates-terminal && [ -t 1 ] && exit 1
fault needs-name && ! grep -q ":$(id -u):" /etc/passwd && exit 1
fault needs-home && ! [ -w "$HOME" ] && exit 1
fault needs-network && ! [ -e /sys/class/net/eth0 ] && exit 1
fault needs-something && ! [ -e /sys/class/net/eth0 ] && grep -q 'NoNewPrivs:.*1' /proc/self/status && exit 1
fault needs-capabilities && grep -q 'CapBnd:.*0000000000000000' /proc/self/status && exit 1
fault needs-privileges && grep -q 'NoNewPrivs:.*1' /proc/self/status && exit 1
fault writes-root && { echo x > /var/state || exit 1; }
fault writes-root-if-allowed && echo x 2> /dev/null > /var/state
fault writes-input && echo x > /input/.lock
fault needs-written-input && { echo x > /input/.lock || exit 1; rm /input/.lock; }
fault hangs && sleep 1000
fault writes-first && mkdir -p "$RECORDS"
if fault lock; then
  [ -e /output/.lock ] && { echo "representation: is running already" >&2; exit 1; }
  touch /output/.lock
fi

on_signal() {
  fault slow-stop && sleep 11
  fault removes-on-stop && rm -f /output/*.npy
  fault wrong-stop && exit 143
  exit 130
}
fault stop-lock && { [ -e /output/.stopped ] && exit 1; trap 'touch /output/.stopped; exit 130' TERM INT; }
fault stop-lock || trap on_signal TERM INT
fault ignores-int && trap '' INT
fault first-process-only && [ $$ -ne 1 ] && trap 'exit 1' TERM INT

# ---- request ----
size= index= size_given= index_given=
while [ $# -gt 0 ]; do
  case "$1" in
    --batch_size) size=$2 size_given=yes; shift ;;
    --batch_idx) index=$2 index_given=yes; shift ;;
    *) fault takes-any-option || refuse "there is no option $1" ;;
  esac
  shift
done
if fault variables-first; then
  index=${SLURM_ARRAY_TASK_ID:-$index} index_given=${SLURM_ARRAY_TASK_ID:+yes}$index_given
fi
if [ "$index_given" ] && ! [ "$size_given" ]; then
  if fault index-alone; then index_given=; else refuse "--batch_idx needs --batch_size"; fi
fi
if [ "$size_given" ] && ! [ "$index_given" ] || fault variable-alone; then
  slurm=$SLURM_ARRAY_TASK_ID job=$JOB_COMPLETION_INDEX
  fault no-first-variable && slurm=
  fault no-second-variable && job=
  fault second-first && { slurm=$JOB_COMPLETION_INDEX job=$SLURM_ARRAY_TASK_ID; }
  fault empty-counts && [ "${SLURM_ARRAY_TASK_ID+set}" ] && job=
  index=${slurm:-$job}
  fault variable-alone && [ "$index" ] && size=${size:-1} size_given=yes
  if [ "$size_given" ] && ! [ "$index" ]; then
    if fault size-alone; then index=0; else refuse "--batch_size needs a batch"; fi
  fi
  fault takes-any-variable && ! is_number "$index" && index=0
fi
if [ "$size_given" ]; then
  if fault takes-any-number; then
    is_number "$size" || case "$size" in -*) ;; *) size=1 ;; esac
    is_number "$index" || case "$index" in -*) ;; *) index=0 ;; esac
  fi
  if fault takes-any-range; then
    case "$size" in -* | 0) size=1 ;; esac
    case "$index" in -*) index=0 ;; esac
  fi
  is_number "$size" && is_number "$index" && [ "$size" -gt 0 ] || refuse "a batch is a whole number"
  [ ${#index} -gt 9 ] && index=999999999
fi

# ---- inputs ----
cd /input || exit 1
pattern() { # find's conditions
  fault takes-anything && { echo '-type f -name *.*'; return; }
  like=-iname
  fault small-letters && like=-name
  fault folders-too || printf '%s' '-type f '
  fault flat && printf '%s' '-maxdepth 1 '
  printf '%s' "( $like *.wav -o $like *.flac -o $like *.ogg "
  fault no-mp3 || printf '%s' "-o $like *.mp3 "
  echo ')'
}
hidden='-name .?*'
fault hidden-files && hidden='-type d -name .?*'
fault hidden-folders && hidden='-type f -name .?*'
set -f
find . $(fault flat && echo '-maxdepth 1') $hidden -prune -o $(pattern) -print0 > $LIST.unsorted
set +f
case "$FAULT" in
  no-order) cat ;;
  ignores-case) sort -zf ;;
  by-length) while IFS= read -r -d '' path; do printf '%04d%s\0' ${#path} "$path"; done | sort -z | while IFS= read -r -d '' path; do printf '%s\0' "${path#????}"; done ;;
  unicode-only) while IFS= read -r -d '' path; do case "$path" in *"$FF"*) ;; *) printf '%s\0' "$path" ;; esac; done | sort -z ;;
  lines) tr '\0' '\n' | sort | tr '\n' '\0' ;;
  *) sort -z ;;
esac < $LIST.unsorted > $LIST
count=$(tr -cd '\0' < $LIST | wc -c)
[ "$count" -gt 0 ] || fault no-inputs || refuse "no inputs"
distinct=$(while IFS= read -r -d '' path; do printf '%s\0' "${path%.*}"; done < $LIST | sort -zu | tr -cd '\0' | wc -c)
[ "$distinct" = "$count" ] || fault one-output || refuse "two inputs with one output"
first=0 last=$count
if [ "$size_given" ]; then
  first=$((index * size)) last=$((index * size + size))
  [ $first -lt "$count" ] || fault past-the-end || refuse "the batch is past the end"
  fault overlapping && last=$((last + 1))
  fault short-batches && last=$((last - 1))
  fault small-batches && [ "$size" -gt "$count" ] && refuse "the batch is too large"
fi

# ---- records ----
journal=$RECORDS/${size_given:+$size-$index-}all.jsonl
fault one-journal && journal=$RECORDS/all.jsonl
mkdir -p "$RECORDS"
[ -s "$journal" ] && [ "$(tail -c 1 "$journal")" ] && ! fault torn-line && echo >> "$journal"
fault overwrites-records && : > "$journal"
known=$(cat "$RECORDS"/*.jsonl 2> /dev/null)

spelled() { # a name in JSON
  name=${1//\\/\\\\} name=${name//\"/\\\"}
  fault raw-names || name=${name//$LF/\\n}
  name=${name//$TAB/\\t} name=${name//$FF/\\udcff}
}

record() { # status, reason
  fault no-records && return
  fault no-failures && [ "$1" = failed ] && return
  [ "$1" = failed ] && fault bare-failures && set -- failed null
  [ "$1" = failed ] && fault long-failures && set -- failed '"it is\nno audio"'
  status=$1 said=$digest signature=$SIGNATURE seconds=0.02
  fault failed-is-done && status=done
  fault says-kept && [ "$1" = done ] && status=kept
  fault reasoned && [ "$1" = done ] && set -- done '"it went well"'
  fault wrong-digest && [ "$said" != null ] && said="\"$(md5sum < "./$input" | head -c 32)$(md5sum < "./$input" | head -c 32)\""
  fault always-digest && [ "$said" = null ] && said="\"$(printf 0 | sha256sum | head -c 64)\""
  fault own-signature && signature="digits 1 of $name"
  fault batch-signature && signature="digits 1 of $size"
  fault text-seconds && seconds='"0.02"'
  fault no-duration && audio_seconds=0
  line="{\"input\": \"$name\", \"digest\": $said, \"audio_seconds\": $audio_seconds, \"seconds\": $seconds, "
  line="$line\"status\": \"$status\", \"reason\": $2, \"signature\": \"$signature\"}"
  fault no-reason && line=${line/ \"reason\": $2,/}
  fault no-json && line="done $name"
  printf '%s\n' "$line" >> "$journal"
}

is_finished() {
  fault never-resumes && return 1
  fault takes-what-is-there && { [ -e "$output" ]; return; }
  fault by-date && [ -e "$output" ] && [ "./$input" -ot "$output" ] && return 0
  lines=$(printf '%s\n' "$known" | grep -F "\"input\": \"$name\"," | grep '}$')
  fault any-line || lines=$(printf '%s\n' "$lines" | tail -n 1)
  fault never-again && case "$lines" in *'"status": "failed"'*) return 0 ;; esac
  fault takes-the-record || [ -e "$output" ] || return 1
  fault any-signature && lines=${lines//not /}
  case "$lines" in *"\"digest\": $digest,"*'"status": "done",'*"\"signature\": \"$SIGNATURE\"}"*) return 0 ;; esac
  return 1
}

# ---- one input ----
bytes() { printf "$(printf '\\%03o' "$@")"; }

vector() {
  text="$digest"
  fault named && text=$(echo "$digest $input" | sha256sum)
  fault batched && text=$(echo "$digest $size" | sha256sum)
  fault crowded && text=$(echo "$digest $count" | sha256sum)
  fault moody && text=$(echo "$digest $(cat /proc/uptime)" | sha256sum)
  text=${text#\"} numbers=8 shape='(8,)' type='<f4' fortran=False
  fault long-vectors && [ $(($(stat -c %s "./$input") > 300000)) = 1 ] && { numbers=7; shape='(7,)'; }
  fault no-values && { numbers=0; shape='(0,)'; }
  fault matrix && shape='(1, 8)'
  fault fortran && fortran=True
  fault big-endian && type='>f4'
  fault whole-numbers && type='<i4'
  header="{'descr': '$type', 'fortran_order': $fortran, 'shape': $shape, }"
  bytes 147; printf NUMPY; bytes 1 0 118 0
  if fault no-line-feed; then printf '%-118s' "$header"; else printf '%-117s\n' "$header"; fi
  number=0
  while [ $number -lt $numbers ]; do
    value=$((0x${text:$((2 * number)):2}))
    if fault not-finite && [ $number = 3 ]; then bytes 0 0 192 127; else bytes 0 0 $value 63; fi
    number=$((number + 1))
  done
  fault too-long && printf '\n'
}

is_audio() {
  length=$(stat -c %s "./$input") audio_seconds=0
  fault takes-anything && [ "$length" -le 44 ] && return 0
  [ "$digest" != null ] && [ "$length" -gt 44 ] || return 1
  case "$(head -c 4 "./$input" | xxd -p)" in
    52494646)
      fault mono-only && [ "$(hexdump -s 22 -n 2 -e '1/2 "%u"' "./$input")" = 2 ] && return 1
      rate=$(hexdump -s 28 -n 4 -e '1/4 "%u"' "./$input")
      audio_seconds=$(printf '%d.%03d' $(((length - 44) / rate)) $(((length - 44) % rate * 1000 / rate)))
      fault mono-seconds && [ "$(hexdump -s 22 -n 2 -e '1/2 "%u"' "./$input")" = 2 ] && audio_seconds=$(((length - 44) / rate * 2))
      return 0 ;;
    664c6143 | 4f676753 | 494433* | fff*) return 0 ;;
  esac
  fault empty-vectors || fault takes-anything
}

# Until two batches have written to the temporary file that they share: then one of them cannot rename it.
wait_for_another() {
  touch "/output/.written-$(hostname)"
  for _ in $(seq 600); do
    [ "$(ls -d /output/.written-* | wc -l)" -gt 1 ] && return
    usleep 100000
  done
}

failures=0
one() {
  input=$1 output=/output/${1%.*}.npy
  fault flattens && output=/output/$(basename "${1%.*}").npy
  fault full-name && output=/output/$1.npy
  mkdir -p "${output%/*}"
  digest=$(sha256sum 2> /dev/null < "./$1") && digest="\"${digest%% *}\"" || digest=null
  spelled "$1"
  is_finished && return
  usleep ${PAUSE:-0}
  if ! is_audio; then
    fault keeps-older || rm -f "$output"
    record failed '"is no audio"'
    failures=$((failures + 1))
    fault stops-at-bad && exit 3
    fault stops-batch && [ "$size_given" ] && exit 3
    return
  fi
  if fault in-place; then
    vector > "$output"
  else
    temporary=${output%/*}/.tmp-$(hostname)
    fault long-temporary && temporary=$output.tmp
    fault shared-temporary && temporary=${output%/*}/.tmp
    vector > "$temporary"
    fault shared-temporary && wait_for_another
    mv "$temporary" "$output"
  fi
  fault leaves-something && touch /output/leftover
  record done null
}

fault visible-folder && mkdir -p /output/log
place=0
while IFS= read -r -d '' path <&3; do
  [ $place -ge $first ] && [ $place -lt $last ] && one "${path#./}"
  place=$((place + 1))
done 3< $LIST
fault lock && rm /output/.lock
fault always-fails && exit 1
[ $failures -gt 0 ] && ! fault never-fails && exit 3
exit 0
