#!/bin/sh
# Copies the files beside this one to an object store: `sh s3-sync.sh s3://BUCKET [OPTION OF AWS …]`, by the AWS command line,
# or `sh s3-sync.sh REMOTE:BUCKET [OPTION OF RCLONE …]`, by rclone. The next time only what is new or changed is sent: of what
# is named by its content, what is missing; of all else, what has another content (rclone) or a later time (AWS).
#
# The bucket has to be readable by everybody, and served as a web site whose index document is index.html (`aws s3 website
# s3://BUCKET --index-document index.html`), by any name; TLS takes a CDN in front of that. No redirects are needed. What is
# named by its content may be kept for ever by everybody; of all else the newest is asked for. What names something comes
# after it, so clients find whole commits and images at any time; what no ref needs any more stays.
set -eu
to=${1:?usage: s3-sync.sh s3://BUCKET or REMOTE:BUCKET}
shift
cd "$(dirname "$0")"

# put TYPE CACHE-CONTROL DIRECTORY PATTERN EXCEPT [OPTION …]
put() {
	type=$1 cache=$2 dir=$3 pattern=$4 except=$5
	shift 5
	if [ ! -d "$dir" ]; then
		return
	fi
	if [ "$cache" = "$kept" ]; then
		by_digest=$none by_aws=--size-only by_rclone=--size-only
	else
		by_digest='**/sha256:*' by_aws= by_rclone=--checksum
	fi
	case $to in
	s3://*)
		aws s3 sync "$dir" "$to/$dir" $by_aws --exclude '*' --include "$pattern" --exclude "$except" \
			--exclude "$by_digest" --content-type "$type" --cache-control "$cache" --only-show-errors "$@"
		;;
	*)
		rclone copy "$dir" "$to/$dir" --fast-list $by_rclone --filter "- $by_digest" --filter "- $except" \
			--filter "+ $pattern" --filter '- *' --header-upload "Content-Type: $type" \
			--header-upload "Cache-Control: $cache" "$@"
		;;
	esac
}

# one TYPE FILE [OPTION …]
one() {
	type=$1 file=$2
	shift 2
	if [ ! -f "$file" ]; then
		return
	fi
	case $to in
	s3://*)
		aws s3 cp "$file" "$to/$file" --content-type "$type" --cache-control no-cache --only-show-errors "$@"
		;;
	*)
		rclone copyto "$file" "$to/$file" --checksum --header-upload "Content-Type: $type" \
			--header-upload 'Cache-Control: no-cache' "$@"
		;;
	esac
}

octets=application/octet-stream
manifest=application/vnd.oci.image.manifest.v1+json
json=application/json
html='text/html; charset=utf-8'
kept='public, max-age=31536000, immutable'
asked=no-cache
none='*~'

put $octets "$kept" repo/objects '*' '*.commitmeta' "$@"
put $octets $asked repo/objects '*.commitmeta' $none "$@"
for dir in repo/deltas repo/delta-indexes repo/refs; do
	put $octets $asked $dir '*' $none "$@"
done
for file in repo/summary.sig repo/summary repo/config; do
	one $octets $file "$@"
done
put $octets "$kept" v2 '**/blobs/sha256:*' $none "$@"
put $manifest "$kept" v2 '**/manifests/sha256:*' $none "$@"
put $manifest $asked v2 '**/manifests/*' '**/tags/list' "$@"
put $json $asked v2 '**/tags/list' $none "$@"
one $json v2/_catalog "$@"
# Clients ask for /v2/ first: a web site answers with this.
one $json v2/index.html "$@"
one 'text/css; charset=utf-8' style.css "$@"
for dir in tree compare; do
	put "$html" $asked $dir '*' $none "$@"
done
put "$html" $asked commit '*' $none "$@"
one "$html" index.html "$@"
