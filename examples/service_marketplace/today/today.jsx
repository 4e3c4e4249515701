/** What is on: a person's bookings as they are now, and what happens as it happens. In React, on the line the page has already. */

import { BellcastProvider, useWebSocket } from 'bellcast/react';
import { useCallback, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

import './device.js';
import { line } from './live.js';
import { root, send } from './site.js';

const MOST = 8; // lines of what happened

/** The bookings, and a way to look again. */
function useBookings() {
  const [bookings, set] = useState(null);
  const look = useCallback(() => send('GET', '/api/bookings').then(set, () => {}), []);
  return [bookings, look];
}

/** What happened since the page was opened, the newest first. */
function useNews() {
  const [news, set] = useState([]);
  const add = useCallback((kind, { id, message, type }) => {
    if (message) set((before) => [{ key: id ?? crypto.randomUUID(), kind, message, type, at: new Date() }, ...before].slice(0, MOST));
  }, []);
  return [news, add];
}

function Today() {
  const [bookings, look] = useBookings();
  const [news, add] = useNews();
  const changed = (kind) => (data) => {
    add(kind, data);
    void look();
  };
  const { isConnected, sendMessage } = useWebSocket({
    onBookingUpdate: changed('Booking'),
    onPaymentUpdate: changed('Payment'),
    onNotification: (data) => add('Message', data),
  });
  useEffect(() => void look(), [isConnected, look]); // also for what was missed while it was not

  return (
    <>
      <div className="heading">
        <h1>Today</h1>
        <Line isConnected={isConnected} sendMessage={sendMessage} />
      </div>
      {bookings && <Open bookings={bookings.filter(({ open }) => open)} look={look} />}
      <News news={news} />
    </>
  );
}

/** Whether what is shown is what is so, and how fast. */
function Line({ isConnected, sendMessage }) {
  const [took, set] = useState(null);
  const measure = async () => {
    const from = performance.now();
    await sendMessage({ type: 'ping' });
    set(Math.max(1, Math.round(performance.now() - from)));
  };
  return (
    <div className="pulse">
      <span role="status">{isConnected ? 'Connected' : 'Disconnected'}{took ? `, answered in ${took} ms` : ''}</span>
      <button className="plain" type="button" onClick={() => measure().catch(() => set(null))}>Ping</button>
    </div>
  );
}

function Open({ bookings, look }) {
  if (!bookings.length) return <p className="note">Nothing to do. New bookings show up here by themselves.</p>;
  return (
    <section>
      <h2>Open <span className="number">{bookings.length}</span></h2>
      <ul className="rows" aria-label="Open bookings">
        {bookings.map((booking) => <Row key={booking.id} booking={booking} look={look} />)}
      </ul>
    </section>
  );
}

function Row({ booking: { id, service, when, other, status, standing, amount, moves }, look }) {
  const [problem, set] = useState('');
  const make = (move) => send('PUT', `/api/bookings/${id}/${move}`).then(() => set(''), (error) => set(error.message)).then(look);
  return (
    <li className={`row ${status}`}>
      <div className="what">
        <h3><a href={`${root}/bookings/${id}`}>{service}</a></h3>
        <p>{when}, {other}</p>
        <p className="problem" role="alert">{problem}</p>
      </div>
      {moves.map(({ name, label }) => <button key={name} className={name === 'accept' ? 'button' : 'plain'} type="button" onClick={() => make(name)}>{label}</button>)}
      <div className="standing"><span className={`chip ${status}`}>{standing}</span><strong className="price">€{amount}</strong></div>
    </li>
  );
}

function News({ news }) {
  return (
    <section>
      <h2>What happened</h2>
      <ul className="rows" aria-label="What happened" aria-live="polite">
        {news.map(({ key, kind, message, at }) => (
          <li key={key} className="row">
            <div className="what"><h3>{message}</h3><p>{kind}, {at.toLocaleTimeString()}</p></div>
          </li>
        ))}
      </ul>
      {!news.length && <p className="note">Nothing since you opened this page.</p>}
    </section>
  );
}

const session = await line;
createRoot(document.getElementById('today')).render(
  <BellcastProvider session={session}>
    <Today />
  </BellcastProvider>,
);
