// The page: who one is, which room is open, what the keys do. tertulia.js talks, view.js draws, strings.js has the words.

import { kept, me, remember, rooms, visited } from './store.js';
import { both, locale, say, translate, why } from './strings.js';
import { Tertulia } from './tertulia.js';
import { Conversation, initial, make } from './view.js';

const TYPING_SHOWN_MS = 4_000;
const SAID_MAX = 5; // announcements kept for screen readers

const $ = (id) => document.getElementById(id);
const text = $('text');

let chat = null;
let room = null; // the open room's name
let editing = null; // the seq of the message in hand
const typists = new Map(); // user id → { name, timer }
const drafts = new Map();

for (const button of $('tools').content.querySelectorAll('button')) button.ariaLabel = button.title = say[button.dataset.do];
document.documentElement.lang = locale;
translate();

const conversation = new Conversation({
	scroller: $('scroller'),
	list: $('messages'),
	outbox: $('outbox'),
	beginning: $('beginning'),
	tools: $('tools'),
	on: {
		edit: startEdit,
		delete: remove,
		retry: (id) => chat.retry(id),
		discard: (id) => chat.discard(id),
		older: () => chat.older(room),
		unseen: showUnseen,
	},
});

// ---- the door ----

function showDoor(problem) {
	chat?.close();
	chat = room = null;
	$('house').hidden = true;
	$('door').hidden = false;
	$('name').value = me().account ? '' : (me().name ?? '');
	$('name-error').textContent = problem;
	$('name').focus();
}

function enter() {
	$('name-error').textContent = '';
	$('door').hidden = true;
	$('house').hidden = false;
	const { account, ...guest } = me();
	// Who has an account is known by the browser's cookie, and says nothing.
	chat = new Tertulia({ url: new URL('/ws', location.href.replace(/^http/, 'ws')).href, storage: kept, ...(!account && guest) });
	listen(chat);
	chat.connect();
	showPerson();
	openRoom();
}

function showPerson() {
	const { name, account } = me();
	$('me').textContent = name;
	$('change-name').hidden = account;
	$('me').previousElementSibling.textContent = initial(name);
}

$('name-form').onsubmit = (event) => {
	event.preventDefault();
	remember({ name: $('name').value.trim() });
	enter();
};

$('change-name').onclick = async () => {
	if (!(await sure(say.changeSure, say.changeName))) return;
	$('side').hidePopover();
	remember({ name: me().name });
	showDoor('');
};

// ---- rooms ----

function asked() {
	const hash = location.hash.slice(1) || 'general';
	try {
		return decodeURIComponent(hash).normalize('NFC');
	} catch {
		return hash;
	}
}

function openRoom() {
	const name = asked();
	if (!chat || name === room) return;
	if (room) {
		stopEdit();
		drafts.set(room, text.value);
		chat.leave(room);
	}
	for (const id of typists.keys()) stopTyping(id);
	room = name;
	text.value = drafts.get(name) ?? '';
	text.ariaLabel = text.placeholder = say.compose(name);
	$('room-title').textContent = name;
	$('count').textContent = '';
	$('said').replaceChildren();
	$('composer').hidden = false;
	const { live, members } = chat.join(name);
	conversation.show(chat.room(name), chat.unsent(name));
	if (live) showCount(members);
	showRooms();
	measure();
	if (matchMedia('(hover: hover)').matches) text.focus(); // elsewhere it would open a keyboard
}

function refuseRoom() {
	const back = make('a', '', '# general');
	back.href = '#general';
	$('beginning').className = 'empty';
	$('beginning').replaceChildren(make('strong', '', say.roomBad(room)), back);
	$('composer').hidden = true;
}

function showRooms() {
	const links = [...new Set([...rooms(), 'general'])].sort().map((name) => {
		const link = make('a', '', name);
		link.href = `#${encodeURIComponent(name)}`;
		if (name === room) link.ariaCurrent = 'page';
		return make('li', '', link);
	});
	$('rooms').replaceChildren(...links);
}

addEventListener('hashchange', () => {
	$('side').hidePopover();
	openRoom();
});

$('room-form').onsubmit = (event) => {
	event.preventDefault();
	const name = $('room-name').value.trim().replace(/^#/, '').replace(/\s+/g, '-');
	if (name) location.hash = encodeURIComponent(name);
	$('room-name').value = '';
};

// ---- what the client tells ----

function listen(client) {
	const on = (type, then) => client.addEventListener(type, ({ detail }) => client === chat && then(detail));
	const here = (type, then) => on(type, (detail) => detail.room === room && then(detail));

	on('state', showState);
	on('error', fail);
	on('welcome', ({ user, token }) => {
		remember(token ? { name: user.name, token } : { name: user.name, account: true });
		showPerson();
		const changed = conversation.me !== user.id;
		conversation.me = user.id;
		if (changed) restart(); // other messages are one's own now
	});
	here('reset', restart);
	here('messages', ({ messages, source }) => {
		conversation.take(messages, source);
		if (source === 'live' || source === 'missed') announce(messages);
		if (messages.some(({ seq, deleted }) => seq === editing && deleted)) stopEdit();
	});
	here('joined', ({ members, stale }) => {
		showCount(members, stale);
		visited(room);
		showRooms();
	});
	here('presence', ({ count, stale, left }) => {
		showCount(count, stale);
		for (const { id } of left) stopTyping(id);
	});
	here('typing', ({ user: { id, name } }) => {
		clearTimeout(typists.get(id)?.timer);
		typists.set(id, { name, timer: setTimeout(stopTyping, TYPING_SHOWN_MS, id) });
		showTypists();
	});
	here('outbox', ({ entry, gone }) => conversation.takeEntry(entry, gone));
	here('room-refused', (error) => (error.code === 'invalid_room' ? refuseRoom() : fail(error)));
}

function restart() {
	stopEdit();
	if (room) conversation.show(chat.room(room), chat.unsent(room));
}

function showState({ state, reason, error }) {
	if (state === 'refused') {
		if (error.code === 'unauthorized') fetch('/api/v1/sessions/current', { method: 'DELETE' }); // a cookie that is worth nothing is in the way
		return showDoor(say.failed(why(error)));
	}
	$('state').dataset.state = state;
	$('state-text').textContent = state === 'open' ? say.open : say.connecting;
	if (state === 'open') notify('');
	// From a node that drains one is elsewhere in a moment.
	if (state === 'waiting' && reason !== 'drain') notify(say.lost, () => chat.reconnect());
	return undefined;
}

const fail = (error) => notify(say.failed(why(error)));

function notify(words, now) {
	const notice = $('notice');
	if (notice.firstChild?.textContent === words) return; // a screen reader need not hear it again
	notice.replaceChildren(...(words ? [make('span', '', words)] : []));
	if (!now) return;
	const button = make('button', 'quiet', say.now);
	button.onclick = now;
	notice.append(' ', button);
}

function showCount(count, stale) {
	$('count').textContent = say.here(count, stale);
}

/** Screen readers hear new messages of others, not history that scrolls in. */
function announce(messages) {
	for (const { from } of messages) stopTyping(from.id);
	const fresh = messages.filter((m) => m.rev === m.seq && m.from.id !== chat.user.id);
	const lines = fresh.length > SAID_MAX ? [say.news(fresh.length)] : fresh.map((m) => `${m.from.name}: ${m.text}`);
	$('said').append(...lines.map((line) => make('p', '', line)));
	while ($('said').children.length > SAID_MAX) $('said').firstChild.remove();
}

function showUnseen(unseen, away) {
	$('jump').hidden = !away;
	$('jump').className = unseen ? 'primary' : '';
	$('jump').textContent = `↓ ${unseen ? say.news(unseen) : say.jump}`;
	document.title = `${unseen ? `(${unseen}) ` : ''}#${room} · Tertulia`;
}

$('jump').onclick = () => {
	conversation.jump();
	text.focus();
};

function stopTyping(id) {
	clearTimeout(typists.get(id)?.timer);
	if (typists.delete(id)) showTypists();
}

function showTypists() {
	const names = [...typists.values()].map(({ name }) => name);
	$('typing').textContent = names.length ? say.types(both(names), names.length) : '';
}

// ---- writing ----

/** The box grows with what is written; the bytes left are told when they become few. */
function measure() {
	text.style.height = 'auto';
	text.style.height = `${text.scrollHeight}px`;
	const limit = chat.limits?.text_bytes ?? 16_384;
	const left = limit - new TextEncoder().encode(text.value).length;
	$('room-left').textContent = left < 0 ? say.over(-left) : left < limit / 10 ? say.left(left) : '';
	$('room-left').classList.toggle('wrong', left < 0);
	$('send').disabled = left < 0 || !text.value.trim();
}

text.oninput = () => {
	measure();
	if (text.value && !editing) chat.typing(room);
};

text.onkeydown = (event) => {
	const { key } = event;
	const mine = ({ from, deleted }) => from.id === chat.user?.id && !deleted;
	if (event.isComposing) return;
	if (key === 'Enter' && !event.shiftKey) submit(event);
	if (key === 'Escape') stopEdit();
	if (key === 'ArrowUp' && !text.value && !editing) {
		event.preventDefault();
		startEdit(conversation.room.messages.findLast(mine)?.seq);
	}
};

$('composer').onsubmit = submit;
$('cancel').onclick = stopEdit;

function submit(event) {
	event.preventDefault();
	const words = text.value;
	if ($('send').disabled) return;
	if (chat.state === 'open') notify('');
	if (editing) {
		if (words !== conversation.room.get(editing)?.text) chat.edit(room, editing, words).catch(fail);
		stopEdit();
		return;
	}
	text.value = '';
	measure();
	conversation.mark(null);
	chat.send(room, words);
	conversation.jump();
}

function hold(seq, words) {
	editing = seq;
	text.value = words;
	$('editing').hidden = !seq;
	conversation.highlight(seq);
	measure();
	text.focus();
}

function startEdit(seq) {
	const message = conversation.room.get(seq);
	if (!message) return;
	if (!editing) drafts.set(room, text.value);
	hold(seq, message.text);
}

function stopEdit() {
	if (editing) hold(null, drafts.get(room));
}

async function remove(seq) {
	const where = room;
	if (await sure(say.deleteSure, say.delete)) chat.delete(where, seq).catch(fail);
}

/** Asks; true only for the grave answer. */
function sure(question, answer) {
	$('sure-text').textContent = question;
	$('sure-yes').textContent = answer;
	$('sure').returnValue = '';
	$('sure').showModal();
	return new Promise((resolve) => ($('sure').onclose = () => resolve($('sure').returnValue === 'yes')));
}

$('sure-yes').onclick = () => $('sure').close('yes');
$('sure-no').onclick = () => $('sure').close();

if (me().name) enter();
else showDoor('');
