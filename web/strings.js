// Every word the page says. The first of the reader's languages that we know is used.

const words = {
	en: {
		tagline: 'people who meet, regularly, to talk',
		nameLabel: 'Your name',
		enter: 'Come in',
		nameHint: 'Others see it beside your words.',
		signIn: 'Sign in, or create an account',
		account: 'Account',
		rooms: 'Rooms',
		newRoom: 'Go to a room',
		go: 'Go',
		roomBad: (room) => `“${room}” cannot be a room: only letters, digits and - _ . :`,
		you: 'You',
		changeName: 'Change name',
		changeSure: 'With another name you are somebody new: what you wrote so far can no longer be edited.',
		here: (n, stale) => (stale ? `about ${n} here` : n === 1 ? 'only you here' : `${n} here`),
		messages: 'Messages',
		newMark: 'New messages',
		compose: (room) => `Write to ${room}`,
		send: 'Send',
		cancel: 'Cancel',
		editing: 'Editing your message',
		edit: 'Edit',
		delete: 'Delete',
		deleteSure: 'Delete this message for everybody?',
		deleted: 'message deleted',
		edited: 'edited',
		waiting: 'waiting to be sent',
		refused: 'Not sent:',
		retry: 'Try again',
		discard: 'Discard',
		jump: 'Jump to the newest',
		news: (n) => (n === 1 ? '1 new message' : `${n} new messages`),
		beginning: 'This is where the conversation begins.',
		empty: 'Nobody has said anything here yet.',
		first: 'Somebody has to be first.',
		loading: 'Fetching the conversation…',
		types: (names, n) => (n === 1 ? `${names} is writing…` : n === 2 ? `${names} are writing…` : 'Several people are writing…'),
		connecting: 'Connecting…',
		open: 'Connected',
		lost: 'Connection lost. What you write waits here and is sent when it is back.',
		now: 'Try now',
		left: (n) => `${n} bytes left`,
		over: (n) => `${n} bytes too many`,
		keys: 'Enter sends, Shift+Enter starts a new line, ↑ edits your last message',
		failed: (why) => `That did not work: ${why}`,
		errors: {
			id_taken: 'its number belongs to another message',
			not_found: 'the message is gone',
			unauthorized: 'please sign in',
			name_taken: 'the name is somebody’s account: take another',
			invalid_name: 'the name is not allowed',
		},
	},
	es: {
		tagline: 'gente que se reúne, con regularidad, a conversar',
		nameLabel: 'Tu nombre',
		enter: 'Entrar',
		nameHint: 'Los demás lo ven junto a tus palabras.',
		signIn: 'Inicia sesión o crea una cuenta',
		account: 'Cuenta',
		rooms: 'Salas',
		newRoom: 'Ir a una sala',
		go: 'Ir',
		roomBad: (room) => `«${room}» no puede ser una sala: solo letras, cifras y - _ . :`,
		you: 'Tú',
		changeName: 'Cambiar de nombre',
		changeSure: 'Con otro nombre eres alguien nuevo: lo que has escrito ya no se podrá editar.',
		here: (n, stale) => (stale ? `unos ${n} aquí` : n === 1 ? 'solo estás tú' : `${n} aquí`),
		messages: 'Mensajes',
		newMark: 'Mensajes nuevos',
		compose: (room) => `Escribe en ${room}`,
		send: 'Enviar',
		cancel: 'Cancelar',
		editing: 'Editando tu mensaje',
		edit: 'Editar',
		delete: 'Borrar',
		deleteSure: '¿Borrar este mensaje para todos?',
		deleted: 'mensaje borrado',
		edited: 'editado',
		waiting: 'esperando a ser enviado',
		refused: 'No enviado:',
		retry: 'Reintentar',
		discard: 'Descartar',
		jump: 'Ir a lo último',
		news: (n) => (n === 1 ? '1 mensaje nuevo' : `${n} mensajes nuevos`),
		beginning: 'Aquí empieza la conversación.',
		empty: 'Aquí nadie ha dicho nada todavía.',
		first: 'Alguien tiene que empezar.',
		loading: 'Buscando la conversación…',
		types: (names, n) => (n === 1 ? `${names} está escribiendo…` : n === 2 ? `${names} están escribiendo…` : 'Varias personas están escribiendo…'),
		connecting: 'Conectando…',
		open: 'Conectado',
		lost: 'Sin conexión. Lo que escribas espera aquí y se enviará cuando vuelva.',
		now: 'Probar ahora',
		left: (n) => `quedan ${n} bytes`,
		over: (n) => `sobran ${n} bytes`,
		keys: 'Intro envía, Mayús+Intro salta de línea, ↑ edita tu último mensaje',
		failed: (why) => `No ha sido posible: ${why}`,
		errors: {
			id_taken: 'su número es de otro mensaje',
			not_found: 'el mensaje ya no está',
			unauthorized: 'hay que iniciar sesión',
			name_taken: 'el nombre es de una cuenta: elige otro',
			invalid_name: 'el nombre no vale',
		},
	},
};

export const locale = navigator.languages.find((tag) => tag.slice(0, 2) in words) ?? 'en';
export const say = words[locale.slice(0, 2)];

/** Why something was refused; the node's own sentence where we have no words for it. */
export const why = ({ code, detail, message }) => say.errors[code] ?? detail ?? message;

/** “Ana and Ben”, as the language puts it. */
export const both = (names) => new Intl.ListFormat(locale).format(names);

const format = (options) => new Intl.DateTimeFormat(locale, options).format;
export const timeOf = format({ timeStyle: 'short' });
export const momentOf = format({ dateStyle: 'full', timeStyle: 'medium' });
export const dayOf = format({ dateStyle: 'full' });

/** The page's own words: `data-say` is text, `data-label` an accessible name, `data-hint` that and a placeholder. */
export function translate() {
	const each = (name, then) => document.querySelectorAll(`[data-${name}]`).forEach((node) => then(node, say[node.dataset[name]]));
	each('say', (node, words) => (node.textContent = words));
	each('label', (node, words) => (node.ariaLabel = words));
	each('hint', (node, words) => (node.placeholder = node.ariaLabel = words));
}
