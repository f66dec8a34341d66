// The conversation on the screen: a window of elements over everything that a room holds.
//
// A message is one element, made or changed alone; what stands above it depends on the message before it. However long
// the conversation, at most WINDOW of them are in the page. What people wrote becomes text and links, never markup.

import { dayOf, momentOf, say, timeOf, why } from './strings.js';

const WINDOW = 300;
const STEP = 50;
const REACH = 900; // pixels from an edge at which more is shown
const HELD_MAX = 1500; // messages kept in memory while one reads the newest
const GROUP_MS = 5 * 60_000;

export function make(tag, className, ...children) {
	const node = document.createElement(tag);
	node.className = className;
	node.append(...children);
	return node;
}

export const initial = (name) => [...name][0].toUpperCase();

function linked(text) {
	const nodes = [];
	let from = 0;
	for (const { 0: found, index } of text.matchAll(/https?:\/\/[^\s<>"“”«»]+/giu)) {
		let address = found.replace(/[.,;:!?'…\]}]+$/u, '');
		// A closing bracket belongs to the sentence, unless the address opened it.
		if (address.endsWith(')') && !address.includes('(')) address = address.slice(0, -1);
		if (!URL.canParse(address)) continue;
		const link = make('a', '', address);
		Object.assign(link, { href: address, rel: 'noopener noreferrer', target: '_blank' });
		nodes.push(text.slice(from, index), link);
		from = index + address.length;
	}
	return [...nodes, text.slice(from)];
}

function textOf(...children) {
	const node = make('div', 'text', ...children);
	node.dir = 'auto';
	return node;
}

function doing(what) {
	const button = make('button', 'quiet', say[what]);
	button.dataset.do = what;
	return button;
}

export class Conversation {
	me = null;
	unseen = 0;

	/** `on` knows edit and delete (of a seq), retry and discard (of an id), older (a promise), and unseen. */
	constructor({ scroller, list, outbox, beginning, tools, on }) {
		Object.assign(this, { scroller, list, outbox, beginning, tools, on });
		scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
		scroller.addEventListener('click', ({ target }) => {
			const { seq, id } = target.closest('.message')?.dataset ?? {};
			const what = target.closest('[data-do]')?.dataset.do;
			list.querySelector('.open')?.classList.remove('open');
			if (what) on[what](seq ? Number(seq) : id);
			else target.closest('.mine')?.classList.add('open');
		});
		document.addEventListener('visibilitychange', () => this.#look());
		// When a keyboard opens, whoever reads the newest goes on reading it.
		const resized = new ResizeObserver(() => this.stuck && this.#toBottom());
		for (const node of [scroller, list, outbox]) resized.observe(node);
	}

	/** Begins with a room, or begins again. */
	show(room, unsent) {
		this.room = room;
		this.shown = new Map(); // seq → element
		this.waiting = new Map(); // id → element
		this.atEnd = true; // the newest message is in the window
		this.stuck = true; // and is being read
		this.fetching = false;
		this.markAt = null;
		this.list.replaceChildren();
		this.outbox.replaceChildren();
		for (const entry of unsent) this.takeEntry(entry);
		this.#count(0);
		this.jump();
	}

	take(messages, source) {
		const { room, shown } = this;
		if (source === 'live' || source === 'missed') this.#notice(messages);
		this.#keepPlace(() => {
			for (const message of messages) if (shown.has(message.seq)) this.#fill(shown.get(message.seq), message);
			const [from, to] = this.#edges();
			const end = room.messages.length;
			if (this.stuck) this.#range(shown.size ? Math.max(from, end - WINDOW) : end - STEP, end, source);
			else this.#range(from, this.atEnd ? Math.min(end, from + WINDOW) : to, source);
		});
		if (this.stuck && room.messages.length > HELD_MAX) room.trim(WINDOW);
		this.#fillScreen();
	}

	/** Something in the outbox appeared, changed or went. */
	takeEntry(entry, gone) {
		let element = this.waiting.get(entry.id);
		if (gone) {
			this.waiting.delete(entry.id);
			element?.remove();
		} else {
			element ??= make('li', 'message mine');
			this.waiting.set(entry.id, element);
			Object.assign(element.dataset, { state: entry.state, id: entry.id });
			const status = make('div', 'status');
			if (entry.state === 'refused') {
				status.append(make('span', 'wrong', `${say.refused} ${why(entry.error)}`), doing('retry'), doing('discard'));
			} else if (entry.state !== 'acked') status.append(say.waiting);
			element.replaceChildren(make('div', 'row', textOf(...linked(entry.text))), status);
			if (!element.isConnected) this.outbox.append(element);
		}
		this.outbox.hidden = !this.waiting.size;
		if (this.stuck) this.#toBottom();
		this.#begin();
	}

	/** To the newest. */
	jump() {
		const end = this.room.messages.length;
		this.stuck = true;
		if (!this.atEnd || !this.shown.size) this.#range(end - STEP, end);
		this.#begin();
		this.#toBottom();
		this.#scrolled();
	}

	/** Where new ones begin. */
	mark(seq) {
		const [old, now] = [this.markAt, seq].map((at) => this.room.get(at));
		this.markAt = seq;
		for (const message of [old, now]) if (this.shown.has(message?.seq)) this.#dress(message);
	}

	highlight(seq) {
		this.list.querySelector('.in-hand')?.classList.remove('in-hand');
		const element = this.shown.get(seq);
		element?.classList.add('in-hand');
		element?.scrollIntoView({ block: 'nearest' });
	}

	// ---- the window ----

	#edges() {
		const seqs = [this.list.firstElementChild, this.list.lastElementChild].map((li) => Number(li?.dataset.seq));
		return this.shown.size ? [this.room.place(seqs[0]), this.room.place(seqs[1]) + 1] : [0, 0];
	}

	/** Shows the room's messages from … to: what is there stays, what is outside goes. */
	#range(from, to, source) {
		const { list, room, shown } = this;
		const wanted = room.messages.slice(Math.max(0, from), to);
		const seqs = new Set(wanted.map(({ seq }) => seq));
		for (const [seq, element] of shown) {
			if (seqs.has(seq)) continue;
			element.remove();
			shown.delete(seq);
		}
		let next = list.firstElementChild;
		let made = false;
		for (const message of wanted) {
			const { seq } = message;
			const element = shown.get(seq) ?? make('li', `message${source === 'live' ? ' fresh' : ''}`);
			if (!shown.has(seq)) {
				shown.set(seq, element);
				element.dataset.seq = seq;
				this.#fill(element, message);
				this.#dress(message);
				list.insertBefore(element, next);
				made = true;
			} else {
				if (made) this.#dress(message);
				next = element.nextElementSibling;
				made = false;
			}
		}
		this.atEnd = to >= room.messages.length;
		this.stuck &&= this.atEnd;
		this.#begin();
	}

	async #up() {
		const { room } = this;
		const [from, to] = this.#edges();
		if (from) {
			this.#keepPlace(() => this.#range(from - STEP, Math.min(to, from - STEP + WINDOW)));
			this.#fillScreen();
		} else if (!room.complete && !this.fetching && this.shown.size) {
			this.fetching = true;
			this.#begin();
			const came = await this.on.older().then(() => true, () => false); // after a failure the next scroll asks again
			if (room !== this.room) return;
			this.fetching = false;
			this.#begin();
			if (came) this.#fillScreen();
		}
	}

	#fillScreen() {
		if (this.scroller.scrollTop < REACH) this.#up();
		if (this.atEnd || this.#below() > REACH) return;
		const [from, to] = this.#edges();
		this.#keepPlace(() => this.#range(Math.max(from, to + STEP - WINDOW), to + STEP));
		this.#fillScreen();
	}

	#scrolled() {
		if (!this.room) return;
		this.stuck = this.atEnd && this.#below() < 60;
		this.#look();
		this.#fillScreen();
	}

	#below() {
		const { scrollHeight, scrollTop, clientHeight } = this.scroller;
		return scrollHeight - scrollTop - clientHeight;
	}

	#toBottom() {
		this.scroller.scrollTop = this.scroller.scrollHeight;
	}

	/** Changes the page without moving what is being read. */
	#keepPlace(change) {
		const top = (li) => li.getBoundingClientRect().top;
		const edge = top(this.scroller);
		const anchor = this.stuck ? null : [...this.list.children].find((li) => li.getBoundingClientRect().bottom > edge);
		const before = anchor && top(anchor);
		change();
		if (this.stuck) this.#toBottom();
		else if (anchor?.isConnected) this.scroller.scrollTop += top(anchor) - before;
	}

	// ---- what is new ----

	#notice(messages) {
		if (this.stuck && document.visibilityState === 'visible') return;
		const fresh = messages.filter((m) => m.rev === m.seq && m.from.id !== this.me);
		if (fresh.length && !this.unseen) this.mark(fresh[0].seq);
		this.#count(this.unseen + fresh.length);
	}

	#look() {
		if (this.room) this.#count(this.stuck && document.visibilityState === 'visible' ? 0 : this.unseen);
	}

	#count(unseen) {
		this.unseen = unseen;
		this.on.unseen(unseen, !this.stuck);
	}

	// ---- one message ----

	/** What it says. */
	#fill(element, { deleted, edited_at: edited, from, text }) {
		const mine = from.id === this.me;
		const row = make('div', 'row', textOf(...(deleted ? [say.deleted] : linked(text))));
		if (edited && !deleted) {
			const note = make('span', 'edited', ` ${say.edited}`);
			note.title = momentOf(new Date(edited));
			row.firstChild.append(note);
		}
		if (mine && !deleted) row.prepend(this.tools.content.cloneNode(true));
		element.classList.toggle('mine', mine);
		element.classList.toggle('deleted', deleted === true);
		element.querySelector('.row')?.remove();
		element.append(row);
	}

	/** What stands above it: the day, the mark of new ones, its author. */
	#dress({ at, from, seq }) {
		const element = this.shown.get(seq);
		const before = this.room.messages[this.room.place(seq) - 1];
		const [date, then] = [new Date(at), new Date(before?.at ?? 0)];
		const above = [];
		if (date.toDateString() !== then.toDateString()) above.push(make('div', 'day', dayOf(date)));
		if (seq === this.markAt) above.push(make('div', 'mark', say.newMark));
		const first = above.length > 0 || before.from.id !== from.id || date - then > GROUP_MS;
		if (first) {
			const time = make('time', '', timeOf(date));
			Object.assign(time, { dateTime: at, title: momentOf(date) });
			const monogram = make('span', 'monogram', initial(from.name));
			monogram.ariaHidden = 'true';
			const who = from.id === this.me ? [make('span', 'unseen', say.you)] : [monogram, make('bdi', '', from.name)];
			above.push(make('div', 'head', ...who, time));
		}
		element.classList.toggle('first', first);
		element.replaceChildren(...above, element.lastElementChild);
	}

	/** What stands above the first message. */
	#begin() {
		const { beginning, room, waiting } = this;
		if (room.refusal) return; // the page has said why
		const empty = room.complete && !room.messages.length && !waiting.size;
		beginning.className = empty ? 'empty' : '';
		if (empty) beginning.replaceChildren(make('strong', '', say.empty), say.first);
		else if (room.position === null || this.fetching) beginning.textContent = say.loading;
		else beginning.textContent = room.complete && !this.#edges()[0] ? say.beginning : '';
	}
}
