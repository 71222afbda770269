"""Every bound that Carets keeps, each with its unit and its reason.

Owns: the numbers. Does not know: where they are applied.

Invariant: the relations between them are asserted at the foot of this page, so a change that breaks one does not start.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

# -- Yjs documents

CLIENT_ID_MAX = 2**53 - 1
"""Yjs client ids are JavaScript numbers: above 53 bits they would lose digits in the browser."""

CLOCK_MAX = 2**31 - 1
"""UTF-16 units that one client id may ever type in one file. yrs keeps clocks in 32 bits."""

CLIENT_IDS_NEW_MAX = 8
"""New Yjs client ids that one member may bring to one file: one of its own and a few earlier lives of its browser."""

CLIENT_IDS_MAX = 32_768
"""Client ids that ever typed in one file: each reload that types is one. Every state vector holds them all."""

UNJOINED_STRUCTS_MAX = 64
"""Structs of one client in one update above which the gate joins those that were typed one behind the other."""

DOCUMENT_UNITS_MAX = 20 * MIB
"""UTF-16 units of text in one file. Above it browsers' editors stall; source trees hold nothing near it."""

UPDATE_BYTES_MAX = 64 * MIB
"""Bytes of one Yjs update: the largest file, of characters of three bytes, with its deletions beside it."""

UPDATE_STRUCTS_MAX = 100_000
"""Structs in one update of a client: a second of the gate. A day of offline work is some thousand; a document of 26,000
edits has 4,200, one that was typed for years has less than this."""

DELETE_SET_BYTES_MAX = 2 * MIB
"""Bytes of the deletions in one update of a client: some 500,000 ranges, read in less than a second. A text of 1 MB
that was cut to pieces has 119 KB of them."""

VIEWER_UPDATE_BYTES_MAX = 1 * MIB
"""Bytes of a viewer's automatic step 2, which can only hold deletions that are known: larger ones are not even read."""

STATE_VECTOR_ENTRIES_MAX = 65_536
"""Client ids in one state vector: a year of a busy file; each costs at most 13 bytes and a dictionary entry."""

# -- messages

PART_BYTES_MAX = 64 * KIB
"""Bytes of one part of a large message: half a second of a 1 Mbit/s line, so that other files and pings get through."""

FRAME_BYTES_MAX = PART_BYTES_MAX + 64
"""Bytes of one frame of ``carets.v1``: one part and its few leading numbers; text frames too."""

PARTS_OPEN_MAX = 4
"""Messages in parts that one member may have begun and not finished; each may hold `UPDATE_BYTES_MAX`."""

ROOM_PARTS_BYTES_MAX = 512 * MIB
"""Bytes of messages that all members of one room have begun in parts: a class whose large files all come back at once.
Who brings more is told to come again."""

STOCK_FRAME_BYTES_MAX = 16 * MIB
"""Bytes of one message at the stock door, where nothing travels in parts: a stock client's whole document."""

PRESENCE_BYTES_MAX = 4 * KIB
"""Bytes of one member's presence in one file: a caret takes some 150; stock clients add what they like."""

PRESENCE_ENTRIES_MAX = 1024
"""Entries in one awareness message of a stock client, which repeats all that it knows to the server."""

FILE_ID_MAX = 2**31 - 1
"""File ids are small integers of ours; the bound only keeps the decoder's arithmetic honest."""

# -- workspaces

FILES_MAX = 5_000
"""Files of one workspace, deleted ones included: its list takes some hundred KiB, 7 MiB with the longest paths."""

PATH_UNITS_MAX = 512
"""Characters of a path. Windows stops at 260, Linux at 4,096; a list of 5,000 must stay readable."""

PATH_PART_BYTES_MAX = 255
"""Bytes of one part of a path: what ext4, APFS and NTFS allow a name."""

TITLE_UNITS_MAX = 120
"""Characters of a workspace's title or a link's name: one line on a wide screen."""

NAME_UNITS_MAX = 40
"""Characters of a person's name: what fits beside a caret."""

LINKS_MAX = 200
"""Links of one workspace, revoked ones included: one for each of a large class, and a page long."""

KEY_BYTES = 16
"""Random bytes of a link's key: 128 bits cannot be guessed."""

TOMBSTONE_DAYS = 30
"""Days for which a deleted file or workspace can be restored."""

CARRY_DAYS = 7
"""Days after the restore of an older backup in which members may bring back what others typed: who works in a
workspace opens it within a week, and while it lasts people can write in each other's names."""

BODY_BYTES_MAX = 32 * MIB
"""Bytes of one HTTP request body: a workspace created with its files."""

BODY_STRINGS_MAX = 2 * FILES_MAX + 100
"""Strings in one request body: a path and a text for each file, and what stands beside them. Counted before the body is
decoded, since millions of them take the event loop for more than a second."""

EXPORTS_MAX = 4
"""Exports of one workspace by one role at the same time, each with one file in memory, and files that are packed at the
same time; others wait for their turn."""

EXPORT_STALL_S = 60.0
"""Seconds in which whoever takes an export must take 64 KiB of it: less is no download that anyone waits for."""

# -- chat and signals

CHAT_UNITS_MAX = 4_000
"""Characters of one chat message: a screen of code or a stack trace; what is longer is a file."""

CHAT_TAIL_ENTRIES = 50
"""Entries of the chat that a room remembers, told at once to whoever comes or lagged: more than one reads."""

CHAT_TAIL_BYTES = 64 * KIB
"""Bytes of the latest chat that are told at once: half a second of a 1 Mbit/s line before the first file."""

CHAT_PAGE_ENTRIES = 100
"""Entries of earlier chat in one HTTP answer: 2 MiB of the longest ones."""

SIGNAL_BYTES_MAX = 16 * KIB
"""Bytes of one signal's JSON: some screens of a program's output; four fit into what a line may have waiting."""

SIGNAL_DEPTH_MAX = 32
"""Levels of arrays and objects in one signal: a run's output has four, and some readers of JSON give up at 100."""

# -- members

MEMBERS_MAX = 2_000
"""Members of one room: above it presence alone fills a core."""

MEMBER_TURN_SHARE = 0.25
"""Seconds of the event loop that one member's frames may take in a second, measured around them. What is not measured
(reading the socket, the commit, the broadcast) takes as much again, for the smallest frames twice as much, so that some
of the loop is always the others'. The fastest typist, or an agent with 8,000 edits a second: some hundredths."""

MEMBER_TURN_BURST_S = 1.0
"""Seconds of it that may be taken at once: a day's offline work is one frame of less."""

MEMBER_TURN_DEBT_S = 2.5
"""Seconds of it that are remembered beyond: nobody is left unread for longer than ten seconds."""

MEMBER_BYTES_PER_S = 4 * MIB
"""Bytes that one member may send in a second for long: a line of 32 Mbit/s, and a thousand screens of text."""

MEMBER_BYTES_BURST = 2 * UPDATE_BYTES_MAX
"""Bytes that it may send at once: the two largest files."""

MEMBER_ANSWER_BYTES_PER_S = 8 * MIB
"""Bytes of answers that one member may ask for in a second for long: three bytes can ask for 20 MB."""

MEMBER_ANSWER_BYTES_BURST = 2 * UPDATE_BYTES_MAX
"""Bytes of answers at once: the largest file twice, or all that a run of a large workspace reads (64 MiB)."""

MEMBER_REQUESTS_PER_S = 20
"""Requests (files, chat, name, place) that one member may make in a second for long: more than a person clicks."""

MEMBER_REQUESTS_BURST = 500
"""Requests at once: a selection of some hundred files that are deleted one by one."""

CHAT_REQUESTS = 4
"""Requests that a chat message counts for: everybody is told, and it is kept for ever."""

REQUEST_FILES = 10
"""Files that a folder's change moves for one request more. 5,000 keep the store, and with it the room, busy for some
time; a person may move them twice in a row."""

MEMBER_SIGNALS_PER_S = 100
"""Signals that one member may send in a second for long: three runs tell their output thirty times."""

MEMBER_SIGNALS_BURST = 500
"""Signals at once: a class of a hundred comes in, and each is told of the runs that there are."""

MEMBER_REFUSALS_PER_S = 5
"""Requests that are refused for their rate in a second for long, until the member is closed."""

MEMBER_REFUSALS_BURST = 100
"""Requests that are refused for their rate at once, until the member is closed: whoever reads stops long before."""

REQUESTS_OPEN_MAX = 1_000
"""File operations and chat of one member that wait for their commit: they come back by the thousand only from a store
that hangs."""

FILES_OPEN_MAX = 500
"""Files that one member may have open: their documents are in memory meanwhile. The page holds those that are looked
at, those with unsaved edits, and eight more."""

ROOM_UNITS_MAX = 10 * DOCUMENT_UNITS_MAX
"""UTF-16 units of text that one room holds in memory before another file can be opened: ten of the largest files, some
hundred MiB. Files that nobody has open leave within seconds."""

HELLO_WAIT_S = 5.0
"""Seconds from the upgrade to hello; longer only helps those who hold connections for nothing."""

PING_EVERY_S = 20.0
"""Seconds between the server's pings: below the idle cuts of common proxies (60 s) and NATs (30 s)."""

PONG_WAIT_S = 10.0
"""Seconds of silence after a ping until a member that is not draining is taken for dead."""

CONTROL_FRAMES_PER_S = 10.0
"""Pings and pongs of one WebSocket in a second, above which it is read later: clients send one in some seconds. The
answer to our own ping is not counted."""

CONTROL_FRAMES_BURST = 50
"""Pings and pongs at once: an answer to each costs some 25 us, and one read of a flood holds 40,000 of them."""

OUTBOX_BYTES_FULL = 64 * KIB
"""Bytes waiting in a member's transport above which no further part is cut: half a second of a 1 Mbit/s line."""

OUTBOX_BYTES_LAGGING = 256 * KIB
"""Bytes waiting above which a member lags: nothing more is queued until it drained. A burst stays below."""

OUTBOX_BYTES_HARD = 512 * KIB
"""Bytes waiting above which a lagging member's own frames are not read either: replies to them cannot pile up."""

CATCH_UPS_PER_TURN = 4
"""Catch-ups encoded before the event loop gets its turn back: each may be milliseconds on a large file."""

PRESENCE_TICK_S = 0.05
"""Seconds between presence ticks: 20 a second look smooth."""

PRESENCE_MEMBERS_PER_TICK = 50
"""Members that one tick tells; in a larger room they take turns. Carets cost members times members, and all at once
they would hold everybody's edits for a tenth of a second in a room of a thousand."""

STOCK_REFRESH_S = 12.0
"""Seconds between renewals of presence towards stock clients, which forget a state and hang up after 30 s."""

# -- one process

ROOMS_MAX = 5_000
"""Workspaces open at the same time: an idle one takes some 30 KB, and leaves memory soon."""

CONNECTIONS_MAX = 10_000
"""Connections of this process: idle ones take 20 KB each, and a file descriptor."""

ADDRESS_CONNECTIONS_MAX = 500
"""Connections from one address: a class of 100 behind one router, with some tabs each."""

CONNECTIONS_RETRY_S = 5.0
"""Seconds after which another try is worth it, where there was no room: what is silent has gone by then, or soon."""

STRANGERS_MAX = 1_000
"""WebSockets of this process that have not shown a key yet: a hello takes one way of the line, so that as many can come
in a tenth of a second."""

ADDRESS_STRANGERS_MAX = 200
"""WebSockets from one address that have not shown a key yet: a class of 100 that reconnects at once, twice."""

HEAD_WAIT_S = 10.0
"""Seconds from connecting to the end of the first request's head: some kilobytes on the worst of lines."""

KEEP_ALIVE_S = 130.0
"""Seconds from an answer to the end of the next request's head: longer than proxies keep a connection that they may
use again (nginx 60 s, Caddy 120 s), since they would lose a request to one that closes under it."""

TLS_WAIT_S = 10.0
"""Seconds for a TLS handshake: three ways of the line, and some kilobytes."""

HEAD_LINE_BYTES_MAX = 8 * KIB
"""Bytes of a request's first line, and of one field of its head: what nginx and Apache take."""

HEAD_FIELDS_MAX = 100
"""Fields in a request's head: browsers send some 20, and proxies add a few."""

LINGER_S = 2.0
"""Seconds in which what a refused request still sends is thrown away, so that its sender can read why."""

ANSWER_STALL_S = 120.0
"""Seconds without a sign that anything arrives, after which the kernel ends a connection on which something is to be
sent. Above the silence after which a WebSocket counts as dead."""

REFUSALS_OPEN_MAX = 64
"""Connections that are being told that there is no room; beyond them the door stays shut without a word."""

RATED_ADDRESSES_MAX = 20_000
"""Addresses of which it is remembered what they did of late: some 300 bytes each."""

ADDRESS_GUESSES_BURST = 50
"""Wrong keys and unknown workspaces from one address that are answered as such: a class whose link lost its end."""

ADDRESS_GUESSES_PER_S = 0.5
"""Wrong keys a second beyond them. No rate finds 128 bits; this one makes clients that never give up come rarely."""

GUESS_WAIT_S_MAX = 300.0
"""Seconds to which the wait after wrong keys grows."""

ADDRESS_TRANSFERS_PER_S = 10
"""Imports and exports from one address: each costs milliseconds at least, however small."""

ADDRESS_TRANSFERS_BURST = 500
"""Imports and exports from one address at once: a class of 100 that all brings a folder, in a few requests each."""

BODY_BYTES_SMALL = 64 * KIB
"""Bytes of a body that are read without a place: whatever is typed, but no folder. All connections together could make
it 640 MiB, which takes as many addresses as fill the process."""

BODY_WAIT_S = 10.0
"""Seconds for a body to begin, and all that it may be late at any time."""

BODY_BYTES_PER_S_MIN = 8 * KIB
"""Bytes a second of a body on average, at least: 64 kbit/s, the slowest line on which one uploads."""

UPLOADS_OPEN_MAX = 16
"""Large bodies that come in at the same time: 512 MiB of memory at most."""

ADDRESS_UPLOADS_OPEN_MAX = 4
"""Large bodies from one address at the same time; others wait. A place is free again after a second, mostly."""

UPLOAD_WAIT_S = 30.0
"""Seconds for which an upload waits for its place."""

UPLOAD_HELD_S = 60.0
"""Seconds for which an upload has its place while others wait for one: at the least speed, four bodies would keep a
school out for an hour. 7 MB come in that time at 1 Mbit/s."""

ADDRESS_WORKSPACES_PER_HOUR = 100
"""Workspaces that one address may create in an hour: a class in which everyone makes a few."""

# -- the store

WORKSPACE_BYTES_MAX = 1024 * MIB
"""Bytes of one workspace's log: some 50 million keystrokes. The log keeps what was deleted, too."""

CHECKPOINT_UPDATES = 2_000
"""Updates after which a file gets a new checkpoint: replaying them takes some milliseconds."""

CHECKPOINT_BYTES = 1 * MIB
"""Bytes of log after which a file gets a new checkpoint, however few updates they are."""

BATCH_BYTES_MAX = 128 * MIB
"""Bytes that may wait for one room's next commit before its edges stop reading; SQLite takes blobs up to 1 GB."""

RUN_BYTES_MAX = 16 * KIB
"""Bytes of text that keystrokes of one batch grow to in one update of the log, and what one read brings beyond them:
less than as much again, and far less than a part, so that a broadcast of what is only typed needs none."""

PROBE_EVERY_S = 2.0
"""Seconds between probes of a store that cannot save: members wait no longer than this once its disk has room again."""

PROBE_BYTES = 1 * MIB
"""Bytes that a probe writes at least: what a busy server commits in a second, so that the first commits fit, too."""

WRITE_STALL_S = 5.0
"""Seconds after which a write that has not returned is told: disks that are merely busy take some tenths."""

THREAD_SWITCH_S = 0.0005
"""Seconds after which Python takes its lock from a busy thread. With its own 5 ms, a busy event loop kept the store's
writer waiting for seconds (docs/decisions/0004-sqlite-engine.md)."""

LINK_LOOK_S = 0.5
"""Seconds between looks for links whose time is over: who is on one is closed within a second of it."""

OPENINGS_MAX = 256
"""Workspaces that are being read from the store at the same time, by ids that may be made up: others are told to come
back. Some hundredths of a second of the store's readers."""

ADDRESS_OPENINGS_MAX = 32
"""Workspaces that are being read for one address: ids that it makes up keep nobody else out. A class that comes back at
once is in fewer, or told to come again a second later."""

ROOM_HURRIED_S = 5.0
"""Seconds for which an empty room stays where the process has as many as it may, and between looks for such rooms."""

ROOM_IDLE_S = 30.0
"""Seconds for which an empty room stays in memory, so that a reload or a short cut finds it warm."""

DRAIN_S = 6.0
"""Seconds for the last commits and farewells at SIGTERM; closes and clients that do not answer take the rest of 10."""

STORE_CLOSE_S = 2.0
"""Seconds at the end for a write that does not return: a disk that hangs must not hold up a restart."""

LOOP_HELD_S = 0.25
"""Seconds for which the event loop may be held before the log tells what held it: everybody's typing waits for it."""

# -- logs

LOG_LINES_PER_MINUTE = 600
"""Lines of one event on one address in a minute: more than the connections it may have, which may all come at once."""

LOG_REFUSALS_PER_MINUTE = 60
"""Refusals told of one address in a minute: a flood of them writes some 30 MB a day, and its size is told."""

LOG_EVENT_LINES_PER_MINUTE = 6_000
"""Lines of one event in a minute, from wherever: the members of three full rooms. A flood writes 2 GB a day."""

LOG_ADDRESSES_MAX = 10_000
"""Pairs of event and address whose lines are counted apart in a minute; what is beyond is counted together."""

LOG_VALUE_CHARACTERS_MAX = 1_000
"""Characters of one value of a line: the longest path, and what is wrong with it."""

LOG_TRACEBACK_CHARACTERS_MAX = 16_000
"""Characters of a traceback: some hundred calls; its beginning and its end say most."""

# -- what an operator may set


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much of one machine people may have. Each is an option of ``carets serve``; these are the defaults."""

    members_max: int = MEMBERS_MAX
    """Members of one room."""
    rooms_max: int = ROOMS_MAX
    """Workspaces that are open at the same time."""
    connections_max: int = CONNECTIONS_MAX
    """TCP connections of this process."""
    address_connections_max: int = ADDRESS_CONNECTIONS_MAX
    """TCP connections from one address."""
    address_workspaces_per_hour: int = ADDRESS_WORKSPACES_PER_HOUR
    """Workspaces that one address may create: as many at once, then at that rate."""
    workspace_bytes_max: int = WORKSPACE_BYTES_MAX
    """Bytes of one workspace's log."""


assert FRAME_BYTES_MAX > PART_BYTES_MAX
assert STOCK_FRAME_BYTES_MAX <= UPDATE_BYTES_MAX <= BATCH_BYTES_MAX
assert 3 * DOCUMENT_UNITS_MAX < UPDATE_BYTES_MAX
assert CLIENT_IDS_MAX <= STATE_VECTOR_ENTRIES_MAX
assert DOCUMENT_UNITS_MAX < CLOCK_MAX
assert PRESENCE_BYTES_MAX < PART_BYTES_MAX
assert PART_BYTES_MAX <= OUTBOX_BYTES_FULL < OUTBOX_BYTES_LAGGING < OUTBOX_BYTES_HARD
assert STOCK_REFRESH_S * 2 < 30
# The longest chat message, each character escaped as two \uXXXX, is one frame; as UTF-8 with its name, one tail.
assert 12 * CHAT_UNITS_MAX + KIB < FRAME_BYTES_MAX
assert 6 * (CHAT_UNITS_MAX + NAME_UNITS_MAX) + KIB < CHAT_TAIL_BYTES <= OUTBOX_BYTES_FULL
assert SIGNAL_BYTES_MAX + KIB < FRAME_BYTES_MAX
assert 4 * SIGNAL_BYTES_MAX <= OUTBOX_BYTES_FULL
assert LOOP_HELD_S < PONG_WAIT_S < PING_EVERY_S
assert ADDRESS_CONNECTIONS_MAX < CONNECTIONS_MAX
assert ADDRESS_STRANGERS_MAX < ADDRESS_CONNECTIONS_MAX
assert ADDRESS_STRANGERS_MAX < STRANGERS_MAX < CONNECTIONS_MAX
assert LINGER_S < HEAD_WAIT_S < KEEP_ALIVE_S
assert PING_EVERY_S + PONG_WAIT_S < ANSWER_STALL_S
assert EXPORT_STALL_S < ANSWER_STALL_S
assert BODY_BYTES_SMALL < BODY_BYTES_MAX
assert 2 * ADDRESS_UPLOADS_OPEN_MAX <= UPLOADS_OPEN_MAX
assert 8 * ADDRESS_OPENINGS_MAX <= OPENINGS_MAX
assert ADDRESS_GUESSES_BURST < ADDRESS_STRANGERS_MAX
assert UPDATE_BYTES_MAX < WORKSPACE_BYTES_MAX
assert ADDRESS_CONNECTIONS_MAX < LOG_LINES_PER_MINUTE
assert LOG_REFUSALS_PER_MINUTE < LOG_LINES_PER_MINUTE < LOG_EVENT_LINES_PER_MINUTE
assert PATH_UNITS_MAX < LOG_VALUE_CHARACTERS_MAX
assert PROBE_BYTES < BATCH_BYTES_MAX
assert MEMBER_TURN_DEBT_S / MEMBER_TURN_SHARE <= PING_EVERY_S
assert UPDATE_BYTES_MAX <= MEMBER_BYTES_BURST
assert PARTS_OPEN_MAX * UPDATE_BYTES_MAX < ROOM_PARTS_BYTES_MAX
assert UPDATE_BYTES_MAX <= MEMBER_ANSWER_BYTES_BURST
assert MEMBER_REFUSALS_BURST < MEMBER_REQUESTS_BURST < REQUESTS_OPEN_MAX
assert FILES_OPEN_MAX <= FILES_MAX
assert DOCUMENT_UNITS_MAX < ROOM_UNITS_MAX
assert DRAIN_S + STORE_CLOSE_S < 10
