// The client side of `tertulia.v1`: one connection, kept up; what the rooms have said; what one wrote, until it is kept.
// It draws nothing and knows no page: events say what changed. docs/client.md tells how to use it.

const IDLE_MS = 25_000; // silence after which we ask whether anybody is there,
const OWED_MS = 5_000; // and while an answer is owed to us
const PONG_MS = 8_000; // how long that question may stay open
const WELCOME_MS = 10_000; // from opening a socket to being welcomed
const STEADY_MS = 5_000; // a connection that lived this long lets the back-off start afresh
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const TYPING_MS = 2_000;
const PAGE = 50;
const KEY = 'tertulia.outbox.';
const GUEST = 'g1.'; // how guests' tokens begin

/** A room: every message from `low` on, ordered by `seq`, complete up to `position`. Read it, never change it. */
class Room {
	messages = [];
	members = 0;
	complete = false; // nothing is older than the first message
	live = false; // nothing is newer than the last
	position = null;
	epoch = null;
	refusal = null; // why it cannot be joined

	// For the connection only.
	low = Infinity;
	wanted = true;
	asking = null; // the `ref` of a join without an answer yet
	asked = false; // a join went out on this connection, so sends may follow
	older = null; // a request for history
	strays = []; // changes to messages not held, while history is on its way
	#bySeq = new Map();

	constructor(name, limit) {
		Object.assign(this, { name, limit });
	}

	get(seq) {
		return this.#bySeq.get(seq);
	}

	/** Where `seq` is, or would be, in `messages`. */
	place(seq) {
		return this.messages.findLastIndex((message) => message.seq < seq) + 1;
	}

	/** Upserts by `seq`, keeping the higher `rev`; returns what really changed. */
	take(messages) {
		return messages.filter((message) => {
			const { seq, rev } = message;
			const held = this.get(seq);
			if (held ? rev <= held.rev : seq < this.low) {
				// A page of history under way may have been read before this change.
				if (!held && this.older) this.strays.push(message);
				return false;
			}
			this.messages.splice(this.place(seq), held ? 1 : 0, message);
			this.#bySeq.set(seq, message);
			return true;
		});
	}

	takeOlder(messages, more) {
		this.older = null;
		this.complete = !more || !messages.length;
		this.low = this.complete ? 0 : messages[0].seq;
		const late = this.strays.filter(({ seq }) => seq >= this.low);
		this.strays = [];
		return this.take([...messages, ...late]);
	}

	/** Forgets all but the newest; older ones can be fetched again. Not while they are on their way. */
	trim(keep) {
		if (this.older || this.messages.length <= keep) return;
		for (const { seq } of this.messages.splice(0, this.messages.length - keep)) this.#bySeq.delete(seq);
		this.low = this.messages[0].seq;
		this.complete = false;
	}

	forget() {
		this.#bySeq.clear();
		Object.assign(this, { messages: [], strays: [], low: Infinity, complete: false, position: null, epoch: null });
	}
}

export class Tertulia extends EventTarget {
	/** `idle`, `connecting`, `open`, `waiting` (for the next try), or `refused` (another name or token is needed). */
	state = 'idle';
	user = null;
	limits = null;

	#options;
	#socket = null;
	#listening = null; // to the browser's own events
	#timers = new Map();
	#attempt = 0;
	#bye = {};
	#heardAt = 0;
	#probing = false;
	#refs = 0;
	#rooms = new Map();
	#requests = new Map(); // without an answer yet; asked again on the next connection
	#outbox = new Map(); // in the order written
	#typedAt = new Map();

	constructor({ url, name, token, storage, WebSocket = globalThis.WebSocket, random = Math.random }) {
		super();
		this.token = token;
		this.#options = { url, name, storage, WebSocket, random };
		this.#restore();
	}

	/** Opens the connection and keeps it up until `close`. */
	connect() {
		this.close();
		this.#listening = new AbortController();
		const { signal } = this.#listening;
		const { document } = globalThis;
		for (const type of ['online', 'pageshow']) globalThis.addEventListener?.(type, () => this.nudge(), { signal });
		document?.addEventListener('visibilitychange', () => document.hidden || this.nudge(), { signal });
		this.#open();
		return this;
	}

	close() {
		this.#end('idle');
	}

	#end(state, error) {
		this.#listening?.abort();
		this.#drop();
		for (const name of this.#timers.keys()) this.#stop(name);
		this.#become(state, { error });
	}

	/** Perhaps the network changed: try at once, unless the node asked us to wait, or see whether the line still holds. */
	nudge() {
		if (this.#bye.retry_after_ms === undefined) this.reconnect();
		if (this.state === 'open') this.#probe(PONG_MS / 2);
	}

	/** Tries now, whatever the back-off says. */
	reconnect() {
		if (this.state === 'waiting') this.#open();
	}

	join(name, { limit = PAGE } = {}) {
		const room = this.#rooms.get(name) ?? new Room(name, limit);
		room.wanted = true;
		this.#rooms.set(name, room);
		if (this.state === 'open' && !room.asked) this.#ask(room);
		return room;
	}

	leave(name) {
		const room = this.#rooms.get(name);
		if (!room) return;
		room.wanted = false;
		this.#leaveIfDone(room);
	}

	room(name) {
		return this.#rooms.get(name);
	}

	/** Keeps `text` until a node has acknowledged it, through losses and restarts. */
	send(room, text, { reply_to } = {}) {
		const entry = { id: uuid(), room, text, reply_to, at: Date.now(), n: ++this.#refs };
		this.#outbox.set(entry.id, entry);
		this.#typedAt.delete(room); // the message tells the others that the typing is over
		this.#mark(entry, 'waiting');
		this.#pump(room);
		return entry;
	}

	/** What one wrote and the room does not show yet, oldest first. */
	unsent(room) {
		return [...this.#outbox.values()].filter((entry) => entry.room === room);
	}

	retry(id) {
		const entry = this.#outbox.get(id);
		if (entry?.state !== 'refused') return;
		this.#mark(entry, 'waiting');
		this.#pump(entry.room);
	}

	/** Gives up what was refused. What is under way cannot be taken back: it may be kept already. */
	discard(id) {
		const entry = this.#outbox.get(id);
		if (entry?.state === 'refused') this.#settle(entry);
	}

	edit(room, seq, text) {
		return this.#request({ type: 'edit', room, seq, text });
	}

	delete(room, seq) {
		return this.#request({ type: 'delete', room, seq });
	}

	/** Fetches messages older than those held; resolves when they are there, or there are none. */
	older(name, limit = PAGE) {
		const room = this.#rooms.get(name);
		if (!room || room.complete || room.position === null) return Promise.resolve();
		if (room.older) return room.older.done;
		const ref = `${this.#refs + 1}`;
		const done = this.#request({ type: 'history', room: name, before: room.low, limit }).then(
			(answer) => answer && this.#tell('messages', { room: name, messages: room.takeOlder(answer.messages, answer.more), source: 'history' }),
			(error) => {
				Object.assign(room, { older: null, strays: [] });
				throw error;
			},
		);
		room.older = { ref, done };
		return done;
	}

	/** One is writing; to be called at every key. */
	typing(name) {
		const now = Date.now();
		if (!this.#rooms.get(name)?.live || now < (this.#typedAt.get(name) ?? 0) + TYPING_MS) return;
		this.#typedAt.set(name, now);
		this.#put({ type: 'typing', room: name });
	}

	// ---- the connection ----

	#open() {
		this.#drop();
		this.#stop('retry');
		this.#bye = {};
		this.#become('connecting');
		this.#start('watch', WELCOME_MS, () => this.#lost('silent'));
		const socket = new this.#options.WebSocket(this.#options.url, 'tertulia.v1');
		this.#socket = socket;
		// A socket that we gave up may still speak; it is not listened to any more.
		const current = (then) => (event) => socket === this.#socket && then(event);
		socket.onopen = current(() => this.#hello());
		socket.onclose = current(() => this.#lost('closed'));
		socket.onmessage = current(({ data }) => {
			this.#heardAt = Date.now();
			this.#probing = false;
			this.#watch();
			this.#take(JSON.parse(data));
		});
	}

	#hello() {
		const { token } = this;
		const { name } = this.#options;
		// Who has neither is known by the browser's cookie, and welcomed unasked.
		if (token || name) this.#put(token ? { type: 'hello', token } : { type: 'hello', name });
	}

	#drop() {
		const socket = this.#socket;
		this.#socket = null;
		this.#stop('watch');
		this.#stop('steady');
		this.#probing = false;
		for (const room of this.#rooms.values()) {
			Object.assign(room, { live: false, asking: null, asked: false });
			this.#stop(`join ${room.name}`);
			this.#stop(`pump ${room.name}`);
		}
		for (const ref of this.#requests.keys()) this.#stop(`again ${ref}`);
		for (const entry of this.#outbox.values()) if (entry.state === 'sending') this.#mark(entry, 'waiting');
		socket?.close();
	}

	#lost(why) {
		this.#drop();
		// Full jitter: after a node's death its clients come back spread out. A node's own wish goes first.
		const { reason = why, retry_after_ms: wish } = this.#bye;
		const wait = wish ?? this.#options.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#attempt);
		if (wish === undefined) this.#attempt += 1;
		this.#become('waiting', { reason, retry_in_ms: wait });
		this.#start('retry', wait, () => this.#open());
	}

	#put(frame) {
		const open = this.#socket?.readyState === 1;
		if (open) this.#socket.send(JSON.stringify(frame));
		return open;
	}

	// A half-open connection says nothing at all: silence is asked about, and no answer is a loss.
	#watch() {
		if (this.state !== 'open' || this.#probing) return;
		const owed = this.#requests.size || [...this.#outbox.values()].some(({ state }) => state === 'sending');
		this.#start('watch', this.#heardAt + (owed ? OWED_MS : IDLE_MS) - Date.now(), () => this.#probe(PONG_MS));
	}

	#probe(deadline) {
		if (this.#probing) return;
		this.#probing = true;
		this.#put({ type: 'ping' });
		this.#start('watch', deadline, () => this.#lost('silent'));
	}

	// ---- what a node says ----

	#take(frame) {
		const { type, ref, rev } = frame;
		const room = this.#rooms.get(frame.room);
		if (type === 'welcome') this.#onWelcome(frame);
		if (type === 'joined' && room && ref === room.asking) this.#onJoined(frame, room);
		// Before `live` nothing is due: the pages bring it. At or below the position it is known.
		if (type === 'message' && room?.live && rev > room.position) {
			room.position = rev;
			this.#show(room, [frame], 'live');
		}
		if (type === 'ack') this.#onAck(frame, room);
		if (type === 'history') this.#answer(ref)?.resolve(frame);
		if (type === 'error') this.#onError(frame);
		if (type === 'typing') this.#tell('typing', frame);
		if (type === 'presence' && room) {
			room.members = frame.count;
			this.#tell('presence', frame);
		}
		// Whose session has ended is not to come back by itself, least of all as somebody else.
		if (type === 'bye' && frame.reason === 'unauthorized') this.#end('refused', { code: frame.reason, detail: 'the session has ended' });
		else if (type === 'bye') {
			this.#bye = frame;
			this.#probing = true; // a node that stops before its close frame must not leave us hanging
			this.#start('watch', 1_000, () => this.#lost());
		}
	}

	#onWelcome({ user, token, node, limits }) {
		Object.assign(this, { user, limits, token: token ?? this.token }); // only guests are given one
		if (this.state === 'open') return; // the answer to our hello, after the welcome that the cookie brought
		this.#start('steady', STEADY_MS, () => (this.#attempt = 0));
		this.#become('open', { node });
		this.#tell('welcome', { user, token, node, limits });
		this.#watch();
		for (const room of this.#rooms.values()) if (!room.asked) this.#ask(room);
		for (const [ref, { frame }] of this.#requests) this.#put({ ...frame, ref });
		for (const name of new Set([...this.#outbox.values()].map(({ room }) => room))) this.#pump(name);
	}

	#ask(room) {
		const { name, limit, position, epoch } = room;
		room.asking = `${++this.#refs}`;
		room.asked = true;
		this.#put({ type: 'join', ref: room.asking, room: name, limit, ...(position !== null && { after: position, epoch }) });
	}

	#onJoined({ reset, more, messages, head, epoch, members, stale }, room) {
		room.asking = null;
		if (reset) {
			room.forget();
			this.#cancelOlder(room);
			this.#tell('reset', { room: room.name });
			if (more) return this.#ask(room); // a tail is wanted, so that what is held begins somewhere known
		}
		const first = room.position === null;
		if (first) {
			room.complete = !messages.length;
			room.low = room.complete ? 0 : Math.min(...messages.map(({ seq }) => seq));
		}
		Object.assign(room, { epoch, position: head, members, refusal: null, live: !more });
		this.#show(room, messages, first ? 'tail' : 'missed');
		if (more) return this.#ask(room);
		for (const entry of this.unsent(room.name)) if (reset || entry.seq <= head) this.#settleAcked(entry);
		this.#tell('joined', { room: room.name, reset, members, stale });
		return this.#leaveIfDone(room);
	}

	#show(room, messages, source) {
		const changed = room.take(messages);
		// Ours leave the outbox first, so that a page never shows one twice.
		for (const { id } of changed) if (this.#outbox.get(id)?.room === room.name) this.#settle(this.#outbox.get(id));
		if (changed.length || source === 'tail') this.#tell('messages', { room: room.name, messages: changed, source });
		this.#pump(room.name);
		this.#leaveIfDone(room);
	}

	#onAck(frame, room) {
		const request = this.#answer(frame.ref);
		if (request) return request.resolve(frame);
		const entry = this.#outbox.get(frame.id);
		if (!entry) return undefined;
		entry.seq = frame.seq;
		this.#mark(entry, 'acked');
		// Its own `message` follows, unless it came before.
		if (!room?.wanted || (room.position !== null && frame.seq <= room.position)) this.#settle(entry);
		this.#pump(entry.room);
		return room && this.#leaveIfDone(room);
	}

	#onError(frame) {
		const { ref, id, code, detail, retry_after_ms: later } = frame;
		const error = Object.assign(new Error(detail), { code });
		const entry = this.#outbox.get(id);
		const request = this.#requests.get(ref);
		const room = [...this.#rooms.values()].find(({ asking }) => ref && asking === ref);
		if (entry) {
			const at = this.#rooms.get(entry.room);
			const joining = code === 'not_joined' && at && !at.live && !at.refusal; // its answer sets the pump going
			this.#mark(entry, later === undefined && !joining ? 'refused' : 'waiting', { code, detail });
			if (later !== undefined) this.#start(`pump ${entry.room}`, later, () => this.#pump(entry.room));
			this.#pump(entry.room);
			if (at) this.#leaveIfDone(at);
		} else if (request) {
			if (later === undefined) this.#answer(ref).reject(error);
			else this.#start(`again ${ref}`, later, () => this.#put({ ...request.frame, ref }));
		} else if (room) {
			Object.assign(room, { asking: null, asked: false });
			if (later !== undefined) return this.#start(`join ${room.name}`, later, () => this.#ask(room));
			room.refusal = error;
			for (const waiting of this.unsent(room.name)) this.#mark(waiting, 'refused', { code, detail });
			this.#tell('room-refused', { room: room.name, code, detail });
			this.#leaveIfDone(room);
		} else if (this.state !== 'connecting') this.#tell('error', { code, detail });
		else if (later !== undefined) {
			this.#bye = { reason: code, retry_after_ms: later };
			this.#lost();
		} else if (code === 'unauthorized' && this.token?.startsWith(GUEST) && this.#options.name) {
			this.token = null; // not known here: enter by name, as somebody new
			this.#hello();
		} else this.#end('refused', { code, detail });
		return undefined;
	}

	// ---- what one wrote ----

	/** One at a time in each room, so that words arrive in the order written, whatever is refused on the way. */
	#pump(name) {
		if (this.state !== 'open' || this.#timers.has(`pump ${name}`)) return;
		const entry = this.unsent(name).find(({ state }) => state === 'waiting' || state === 'sending');
		if (entry?.state !== 'waiting') return;
		// Words left over for a room that nobody looks at: it is joined for as long as they take.
		if (!this.#rooms.has(name)) this.join(name, { limit: 1 }).wanted = false;
		const { id, text, reply_to } = entry;
		if (!this.#rooms.get(name).asked || !this.#put({ type: 'send', room: name, id, text, reply_to })) return;
		this.#mark(entry, 'sending');
		this.#watch();
	}

	#leaveIfDone(room) {
		const { name, wanted, asked } = room;
		if (wanted || this.unsent(name).some(({ state }) => state === 'waiting' || state === 'sending')) return;
		if (asked) this.#put({ type: 'leave', room: name });
		this.#cancelOlder(room);
		for (const entry of this.unsent(name)) this.#settleAcked(entry);
		this.#stop(`join ${name}`);
		this.#rooms.delete(name);
	}

	/** The state is kept too, but for acknowledged ones: the room has them, a reload need not. */
	#mark(entry, state, error = null) {
		Object.assign(entry, { state, error });
		this.#keep(entry, state !== 'acked');
		this.#tell('outbox', { room: entry.room, entry });
	}

	#settle(entry) {
		this.#outbox.delete(entry.id);
		this.#keep(entry, false);
		this.#tell('outbox', { room: entry.room, entry, gone: true });
	}

	#settleAcked(entry) {
		if (entry.state === 'acked') this.#settle(entry);
	}

	// One key a message, so that tabs with one storage do not overwrite each other. If two send the same, the id makes it one.
	#keep(entry, keep) {
		const { storage } = this.#options;
		try {
			if (keep) storage?.setItem(KEY + entry.id, JSON.stringify(entry));
			else storage?.removeItem(KEY + entry.id);
		} catch {
			// Full or forbidden: then it lives as long as the page.
		}
	}

	#restore() {
		const { storage } = this.#options;
		let entries = [];
		try {
			const keys = Array.from(storage, (_, i) => storage.key(i)).filter((key) => key.startsWith(KEY));
			entries = keys.map((key) => JSON.parse(storage.getItem(key)));
		} catch {
			// None, or not to be read.
		}
		for (const entry of entries.sort((a, b) => a.at - b.at || a.n - b.n)) {
			if (entry.state === 'sending') entry.state = 'waiting';
			this.#outbox.set(entry.id, entry);
		}
	}

	// ---- asking, and being answered, perhaps on a later connection ----

	#request(frame) {
		const ref = `${++this.#refs}`;
		return new Promise((resolve, reject) => {
			this.#requests.set(ref, { frame, resolve, reject });
			if (this.state === 'open') this.#put({ ...frame, ref });
			this.#watch();
		});
	}

	#answer(ref) {
		const request = this.#requests.get(ref);
		this.#requests.delete(ref);
		this.#stop(`again ${ref}`);
		return request;
	}

	#cancelOlder(room) {
		this.#answer(room.older?.ref)?.resolve(null);
		room.older = null;
	}

	#become(state, more) {
		this.state = state;
		this.#tell('state', { state, ...more });
	}

	#tell(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	#start(name, ms, then) {
		this.#stop(name);
		const run = () => {
			this.#timers.delete(name);
			then();
		};
		this.#timers.set(name, setTimeout(run, ms));
	}

	#stop(name) {
		clearTimeout(this.#timers.get(name));
		this.#timers.delete(name);
	}
}

/** `crypto.randomUUID` is missing on pages that came by plain http from another machine. */
function uuid() {
	const [...bytes] = crypto.getRandomValues(new Uint8Array(16));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
	return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
