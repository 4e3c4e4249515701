/** A person's open bookings and recent activity, live. A React page that uses the connection of the site's other scripts. */

import { BellcastProvider, useWebSocket } from 'bellcast/react';
import { useCallback, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

import './device.js';
import { line } from './live.js';
import { Refused, root, send } from './site.js';
import { text, timeOfDay } from './texts.js';

const MAX_ACTIVITIES = 8;

/** The bookings, and a function that fetches them again. */
function useBookings() {
  const [bookings, set] = useState(null);
  const refetch = useCallback(() => send('GET', '/api/bookings').then(set, () => {}), []);
  return [bookings, refetch];
}

/** Activities since the page was opened, newest first. */
function useActivities() {
  const [activities, set] = useState([]);
  const add = useCallback((kind, { id, message, type }) => {
    if (message) set((before) => [{ key: id ?? crypto.randomUUID(), kind, message, type, at: new Date() }, ...before].slice(0, MAX_ACTIVITIES));
  }, []);
  return [activities, add];
}

function Today({ bookings, refetch }) {
  const [activities, add] = useActivities();
  const changed = (kind) => (data) => {
    add(kind, data);
    void refetch();
  };
  const { isConnected, sendMessage } = useWebSocket({
    onBookingUpdate: changed('booking'),
    onPaymentUpdate: changed('payment'),
    onNotification: (data) => add('message', data),
  });
  useEffect(() => void refetch(), [isConnected, refetch]); // also fetches the changes missed while disconnected
  return <Page {...{ bookings, refetch, activities, isConnected, sendMessage }} />;
}

function Page({ bookings, refetch, activities, isConnected, sendMessage }) {
  return (
    <>
      <div className="heading">
        <h1>{text('nav.today')}</h1>
        <ConnectionStatus isConnected={isConnected} sendMessage={sendMessage} />
      </div>
      {bookings && <OpenBookings bookings={bookings.filter(({ open }) => open)} refetch={refetch} />}
      <RecentActivity activities={activities} />
    </>
  );
}

/** The connection status, with the round-trip time after a ping. */
function ConnectionStatus({ isConnected, sendMessage }) {
  const [roundTrip, set] = useState(null);
  const measure = async () => {
    const start = performance.now();
    await sendMessage({ type: 'ping' });
    set(Math.max(1, Math.round(performance.now() - start)));
  };
  const connected = roundTrip ? text('today.connected_ping', { ms: roundTrip }) : text('today.connected');
  return (
    <div className="pulse">
      <span role="status">{isConnected ? connected : text('today.disconnected')}</span>
      <button className="plain" type="button" disabled={!isConnected} onClick={() => measure().catch(() => set(null))}>{text('today.ping')}</button>
    </div>
  );
}

function OpenBookings({ bookings, refetch }) {
  if (!bookings.length) return <p className="note">{text('today.none')}</p>;
  return (
    <section>
      <h2>{text('today.open')} <span className="number">{bookings.length}</span></h2>
      <ul className="rows" aria-label={text('today.open_bookings')}>
        {bookings.map((booking) => <Row key={booking.id} booking={booking} refetch={refetch} />)}
      </ul>
    </section>
  );
}

function Row({ booking: { id, service, when, other, status, standing, price, moves }, refetch }) {
  const [problem, set] = useState('');
  const make = (move) => send('PUT', `/api/bookings/${id}/${move}`).then(() => set(''), (error) => set(error instanceof Refused ? error.message : text('error.no_connection'))).then(refetch);
  return (
    <li className={`row ${status}`}>
      <div className="what">
        <h3><a href={`${root}/bookings/${id}`}>{service}</a></h3>
        <p>{text('today.where', { when, name: other })}</p>
        <p className="problem" role="alert">{problem}</p>
      </div>
      {moves.map(({ name, label }) => <button key={name} className={name === 'accept' ? 'button' : 'plain'} type="button" onClick={() => make(name)}>{label}</button>)}
      <div className="standing"><span className={`chip ${status}`}>{standing}</span><strong className="price">{price}</strong></div>
    </li>
  );
}

function RecentActivity({ activities }) {
  return (
    <section>
      <h2>{text('today.activity')}</h2>
      <ul className="rows" aria-label={text('today.activity')} aria-live="polite">
        {activities.map(({ key, kind, message, at }) => (
          <li key={key} className="row">
            <div className="what"><h3>{message}</h3><p>{text(`today.${kind}`, { time: timeOfDay.format(at) })}</p></div>
          </li>
        ))}
      </ul>
      {!activities.length && <p className="note">{text('today.no_activity')}</p>}
    </section>
  );
}

/** The page, and its bookings also while Bellcast cannot be reached. */
function App() {
  const [bookings, refetch] = useBookings();
  const [session, set] = useState(null);
  useEffect(() => void line.then(set), []);
  useEffect(() => void refetch(), [refetch]);
  if (!session) return <Page {...{ bookings, refetch }} activities={[]} isConnected={false} />;
  return (
    <BellcastProvider session={session}>
      <Today {...{ bookings, refetch }} />
    </BellcastProvider>
  );
}

createRoot(document.getElementById('today')).render(<App />);
