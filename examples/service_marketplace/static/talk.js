/** The view of a chat: messages with their delivery state, typing and presence. */

import { person } from './site.js';
import { text as translate, timeOfDay } from './texts.js';

const TYPING_TIMEOUT = 6_000; // ms
const NEAR_END = 80; // px from the end within which the view keeps scrolling to new messages
const UNREADABLE = { null: 'chat.earlier', undefined: 'chat.altered' };

function element(name, className, text = '') {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

export class Talk {
  #list;
  #scroll;
  #bubbles = new Map();
  #view;
  #typing;

  constructor(view) {
    this.#view = view;
    this.#list = view.querySelector('ol');
    this.#scroll = view.querySelector('.scroll');
  }

  /** @param {object[]} messages  in order @param {number} read  number of the last message that the other person has read */
  show(messages, read) {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroll;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    messages.forEach((message, place) => {
      const bubble = this.#bubble(message);
      if (this.#list.children[place] !== bubble) this.#list.insertBefore(bubble, this.#list.children[place] ?? null);
      if (message.sender === person) this.#fate(bubble, message, read);
    });
    this.#view.querySelector('.nothing').hidden = messages.length > 0;
    if (atEnd) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #bubble({ id, sender, at, text }) {
    const known = this.#bubbles.get(id);
    if (known) return known;
    const side = text === null ? 'earlier' : sender === person ? 'bubble mine' : 'bubble';
    const bubble = element('li', side);
    const words = typeof text === 'string' ? element('p', '', text) : element('p', 'sealed', translate(UNREADABLE[text]));
    bubble.append(words, element('small', 'fate', timeOfDay.format(new Date(at))));
    this.#bubbles.set(id, bubble);
    return bubble;
  }

  #fate(bubble, { at, number }, read) {
    const fate = number ? (number <= read ? 'read' : 'sent') : 'waiting';
    bubble.dataset.fate = fate;
    bubble.querySelector('.fate').textContent = number ? `${timeOfDay.format(new Date(at))} · ${translate(`chat.${fate}`)}` : translate('chat.waiting');
  }

  typing(on) {
    clearTimeout(this.#typing);
    const { clientHeight, scrollHeight, scrollTop } = this.#scroll;
    this.#view.querySelector('.typing').hidden = !on;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.#scroll.scrollTop = this.#scroll.scrollHeight;
    if (on) this.#typing = setTimeout(() => this.typing(false), TYPING_TIMEOUT);
  }

  here(on) {
    this.#view.querySelector('.presence').textContent = translate(on ? 'chat.here' : 'chat.not_here');
    this.#view.querySelector('.presence').dataset.here = on;
    if (!on) this.typing(false);
  }

  reachable(on) {
    this.#view.querySelector('.unreachable').hidden = on;
  }

  code(digits) {
    this.#view.querySelector('.code').textContent = digits;
  }

  showProblem(problem) {
    this.#view.querySelector('.problem').textContent = problem;
  }
}
