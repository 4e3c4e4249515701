/** A typical React app that uses the packed package and every hook once. */

import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
import { invalidateQueries, revalidate } from 'bellcast/touches';
import { BellcastProvider, Bell, useBellcast, useEvent, useInbox, usePresence, useUnread, useWebSocket } from 'bellcast/react';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import useSWR, { useSWRConfig } from 'swr';

const { server, token } = Object.fromEntries(new URLSearchParams(location.hash.slice(1))) as { server: string; token: string };
const queries = new QueryClient();
const fetches = { query: 0, swr: 0 };

function Inbox() {
  const { notifications, unread, status, read } = useInbox();
  const bookings = useInbox({ type: 'booking' });
  return (
    <section aria-label="inbox" data-status={status}>
      <output aria-label="unread">{unread}</output>
      <output aria-label="bookings">{bookings.notifications.length}</output>
      <ul>{notifications.map(({ id, title }) => <li key={id}>{title}</li>)}</ul>
      <button onClick={() => void read('all')}>Read all</button>
    </section>
  );
}

function Room() {
  const [word, setWord] = useState('');
  const members = usePresence('presence-room');
  useEvent('word', (data: { word: string }) => setWord(data.word), 'presence-room');
  return <><output aria-label="word">{word}</output><output aria-label="members">{members.map(({ recipient }) => recipient).join(' ')}</output></>;
}

function Market() {
  const [received, setReceived] = useState<string[]>([]);
  const add = (kind: string) => (data: { type: string; message?: unknown }) => setReceived((all) => [...all, `${kind} ${data.type} ${String(data.message ?? '')}`]);
  const { isConnected, sendMessage } = useWebSocket({ onBookingUpdate: add('booking'), onPaymentUpdate: add('payment'), onNotification: add('other') });
  const [result, set] = useState('');
  return (
    <section aria-label="market">
      <output aria-label="connected">{String(isConnected)}</output>
      <output aria-label="received">{received.join(', ')}</output>
      <output aria-label="result">{result}</output>
      {['ping', 'accept'].map((type) => (
        <button key={type} onClick={() => sendMessage({ type }).then(() => set(`${type} handled`), (error: Error & { code?: string }) => set(error.code ?? ''))}>{type}</button>
      ))}
    </section>
  );
}

function Cached() {
  const session = useBellcast();
  const { mutate } = useSWRConfig();
  useEffect(() => invalidateQueries(session, queries), [session]);
  useEffect(() => revalidate(session, mutate), [session, mutate]);
  const query = useQuery({ queryKey: ['booking', 7], queryFn: () => ++fetches.query });
  const swr = useSWR(['booking', 7], () => ++fetches.swr, { revalidateOnFocus: false });
  return <output aria-label="fetches">{`${query.data} ${swr.data}`}</output>;
}

function Unread() {
  return <output aria-label="badge">{useUnread()}</output>;
}

createRoot(document.getElementById('root')!).render(
  <QueryClientProvider client={queries}>
    <BellcastProvider server={server} token={token}>
      <Bell badge="unread" /><Unread /><Inbox /><Room /><Market /><Cached />
    </BellcastProvider>
  </QueryClientProvider>,
);
