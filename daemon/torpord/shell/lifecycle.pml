/*
 * Going down and coming back, for `spin`: a model of shell/leaving.py, of the start, and of the rule for clients.
 *
 * What is modelled: processes of the daemon, the lock of the home, the socket (one of the daemon's own, or with -DINHERITED
 * the service manager's), clients on it that follow torpor/talk.py and torpor/wake.py, one who leaves a file in wake.d, and
 * an adversary who kills a daemon at any instant, sends SIGTERM, and starts one by hand. What is durable survives a kill,
 * nothing else does. connect(2) is two steps, as in the kernel: the path leads to a socket, then one gets in its line.
 *
 * What is shown (tests/model/test_spin.py): the assertions below, and no deadlock, however they interleave; and, under weak
 * fairness, that everybody has a result in the end and the file is taken (`served`). That needs a bound: NAPS is how often
 * a daemon goes down by itself, as KILLS is how often one is killed. Without time in the model somebody could be outrun by
 * an exit again and again between his connect and his send; `min_up` (5 s, where a client waits 0.1 s) rules it out.
 *
 * What is left out: time (what may be late is late at any length), full disks, `stop` (a SIGTERM, and nobody who wants it
 * up), more than MOST_LOOKS in one exit, killed clients, subscriptions, planned wakes; and that a look for a listener
 * (torpor.wake.accepts) is a short connection, too.
 *
 * POINT is a point of torpord.points, STEP a step of torpor.talk, IN a function of the project: the test compares all three
 * with the code. -DBROKEN_… takes one piece of the design away, and each of them must fail:
 *   CHECK   the exit accepts, and does not look at what those have sent (Server.has_work)
 *   SETTLE  steps of flows are given their time behind the last look and not before it
 *   FILES   the exit does not look for files
 *   ACCEPT  nobody is accepted behind the unlink
 *   GATE    an own listener is not shut: who was between its path and its line gets silence
 *   SHUT    an inherited listener is shut down and not just left
 *   LOCK    the home is not locked
 *   ORDER   the lock is let go before the socket's path, and whose it is, is not looked at
 *   KEY     what is asked again is applied again
 */

#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef TERMS
#define TERMS 1
#endif
#ifndef HANDS
#define HANDS 1
#endif

#ifdef NAPS
byte naps;
#define MAY_NAP naps < NAPS
#define NAP naps++
#else
#define MAY_NAP true
#define NAP skip
#endif

#define DAEMONS 2       /* processes at once: the second is the one on its way out, or in vain */
#define NOBODY 9        /* who holds the lock; whose the socket's path is */
#define DEAD 8          /* the path of a daemon that was killed */
#define MANAGER 7       /* whose line one waits in */

/* Names for people and for the test. They are no steps of the model: a kill there is one behind the step before. */
#define POINT(name)
#define STEP(name)
#define IN(name)

/* The home. `wake`: its state is not HIBERNATION. All of it is durable, but for the lock, which ends with the process. */
bool wake = true;
bool applied[CLIENTS];  /* a request is durable, and its key with it */
bool file, file_applied;
byte lock = NOBODY;
byte path = NOBODY;     /* of an own socket */

/* Processes of the daemon. */
bool up[DAEMONS], by_hand[DAEMONS], killed[DAEMONS], term[DAEMONS];
bool listening[DAEMONS];  /* an own listener takes connections */
bool again;               /* the service manager has seen a daemon die */
byte serving;             /* ghost: how many daemons have the home */

/* Connections, one a client. */
mtype = { absent, looking, queued, accepted };      /* where a connection is */
mtype = { nothing, result, draining };              /* what lies there to be read by its client */
typedef Connection {
    mtype is = absent;
    byte with;      /* whose path was found; in whose line, or who has accepted it */
    bool unread;    /* the request lies in the socket */
    bool inbox;     /* it was read, and waits for the writer */
    bool batch;     /* it is durable, and not answered yet */
    bool closing;   /* no more is read: a send fails */
    bool ended;     /* the daemon's side is closed */
    bool excused;   /* its daemon was killed: nobody can answer */
    bool early;     /* ghost: it was there when this exit began */
    mtype reply = nothing;
};
Connection on[CLIENTS];
bool served_[CLIENTS];
bool spawning;            /* torpor.spawn.lock is held */

#define REACHES(c) (on[c].is == queued && on[c].with == LINE)
#define MINE(c) (on[c].is == accepted && on[c].with == me && !on[c].ended)
#ifdef INHERITED
#define LINE MANAGER
#define LISTENS(p) true
#else
#define LINE me
#define LISTENS(p) (p < DAEMONS && listening[p])
#endif

#if CLIENTS == 1
#define ANY(what) (what(0))
#define SERVED (served_[0] && file_applied)
#elif CLIENTS == 2
#define ANY(what) (what(0) || what(1))
#define SERVED (served_[0] && served_[1] && file_applied)
#else
#define ANY(what) (what(0) || what(1) || what(2))
#define SERVED (served_[0] && served_[1] && served_[2] && file_applied)
#endif
#define HAS_UNREAD(c) (MINE(c) && on[c].unread)
#define HAS_INBOX(c) (MINE(c) && on[c].inbox)
#define IN_LINE(c) (on[c].is == queued && !on[c].ended)

ltl served { <> SERVED }

/* ---------------------------------------------------------------- the daemon */

#define EACH for (c : 0 .. CLIENTS - 1)  /* leaves c at CLIENTS: set back, so that it makes no states of its own */

inline lets_go(c) { on[c].ended = true; on[c].unread = false }

/* Everybody who waits in this daemon's own line is gone with it: their connections are reset. */
inline close_own_listener(whose, excuse) {
    listening[whose] = false;
    EACH { if
        :: on[c].is == queued && on[c].with == whose -> lets_go(c); on[c].excused = excuse
        :: on[c].is == looking && on[c].with == whose -> on[c].with = NOBODY   /* the kernel looks anew: unix(7) sockets */
        :: else fi }; c = 0
}

inline accept_one() { IN("torpord.control.server:Server.accept_waiting")
    if
    :: REACHES(0) -> on[0].is = accepted; on[0].with = me
#if CLIENTS > 1
    :: REACHES(1) -> on[1].is = accepted; on[1].with = me
#endif
#if CLIENTS > 2
    :: REACHES(2) -> on[2].is = accepted; on[2].with = me
#endif
    fi
}

/* What is read while the writer is open waits for it; later on it is told that this is the end. */
inline read_one() { IN("torpord.control.connection:Connection.serve")
    EACH { if
        :: HAS_UNREAD(c) -> on[c].unread = false;
            if
            :: closed -> on[c].reply = draining;
                /* What was there when the exit began takes it back: it is never turned away. */
                assert(!on[c].early || signalled)
            :: else -> on[c].inbox = true
            fi; break
        :: else fi }; c = 0
}

inline commit() {
    POINT("writer.taken")
    POINT("writer.decided")
    POINT("store.begun")
    POINT("store.written")
    atomic { EACH { if
        :: MINE(c) && on[c].inbox ->
            on[c].inbox = false; on[c].batch = true;
#ifdef BROKEN_KEY
            assert(!applied[c]);
            wake = true;
#else
            if :: !applied[c] -> wake = true :: else fi;
#endif
            applied[c] = true
        :: else fi }; c = 0 };
    POINT("store.committed")
    atomic { EACH { if
        :: MINE(c) && on[c].batch -> on[c].batch = false; on[c].early = false; on[c].reply = result
        :: else fi }; c = 0 };
    POINT("writer.released")
}

inline take_file() { IN("torpord.shell.spool:Spool.take")
    atomic { file_applied = true; wake = true };
    POINT("spool.applied")
    file = false
}

inline close_quiet() { EACH { if :: MINE(c) && on[c].closing && !on[c].unread && !on[c].inbox -> lets_go(c) :: else fi }; c = 0 }

/* One thing that one of the daemon's tasks does; blocks where none has anything to do. */
inline serve_one() {
    if
    :: atomic { ANY(REACHES) -> accept_one() }
    :: atomic { ANY(HAS_UNREAD) -> read_one() }
    :: ANY(HAS_INBOX) -> commit()
#ifndef BROKEN_FILES
    :: file -> take_file()
#else
    :: file && wake -> take_file()
#endif
    fi
}

#define HAS_WORK (ANY(REACHES) || ANY(HAS_UNREAD) || ANY(HAS_INBOX) || file)

inline forget_signal() { signalled = false; d_step { EACH { on[c].early = false }; c = 0; early_file = false } }

proctype Daemon(byte me) {
    byte c;
    bool closed, signalled, early_file;
end_idle:
    do
    :: up[me] ->
        {
            IN("torpord.host.lock:HomeLock.take")
            atomic {
#ifndef BROKEN_LOCK
                if :: lock == NOBODY -> lock = me :: else -> goto gone fi;  /* 75 */
#endif
                serving++; assert(serving == 1)
            };
#ifdef INHERITED
            if :: by_hand[me] -> goto gone :: else fi;  /* the path is served: 75 */
#else
            IN("torpord.host.listen:own")
            atomic { if :: LISTENS(path) -> goto gone :: else -> path = me fi };  /* bound; nobody is listened to */
            listening[me] = true;
#endif
            IN("torpord.core.decide:_process_started")
            wake = true;  /* durable: a start is a demand */
            if :: file -> take_file() :: else fi;
        serve:
            do
            :: serve_one()
            :: term[me] -> signalled = true; goto leave
            :: atomic { !ANY(HAS_INBOX) && MAY_NAP -> wake = false; NAP; break }  /* idle for long, as far as it knows */
            od;

            IN("torpord.shell.leaving:Exit._nothing_to_do")
            POINT("exit.decided")
            atomic { EACH { on[c].early = (on[c].unread && (REACHES(c) || MINE(c))) }; c = 0; early_file = file };
#ifndef BROKEN_SETTLE
            IN("torpord.shell.workers:Workers.settle")
#endif
            do
            :: wake -> forget_signal(); goto serve
            :: !wake && term[me] -> signalled = true; goto leave
            :: !wake && !term[me] ->
#ifdef BROKEN_CHECK
                if :: atomic { ANY(REACHES) -> accept_one() } :: !ANY(REACHES) -> break fi
#else
                /* Three looks one behind the other; none of our tasks runs between them, but everybody else's do. */
#ifdef BROKEN_FILES
                if :: ANY(HAS_INBOX) -> serve_one()
#else
                if :: file || ANY(HAS_INBOX) -> serve_one()
#endif
                :: else ->
                    if :: ANY(REACHES) -> serve_one()
                    :: else -> IN("torpord.control.server:Server.has_work")
                        if :: ANY(HAS_UNREAD) -> serve_one() :: else -> break fi
                    fi
                fi
#endif
            od;
            POINT("exit.looked")
            assert(!early_file || !file);  /* a file that was there is not left behind */
#ifdef BROKEN_SETTLE
            do :: HAS_WORK -> serve_one() :: break od;
            if :: wake -> forget_signal(); goto serve :: else fi;
#endif
        leave:
            IN("torpord.shell.leaving:Exit._leave")
            closed = true;
#ifdef INHERITED
#ifdef BROKEN_SHUT
            atomic { EACH { if :: on[c].is == queued -> lets_go(c) :: else fi }; c = 0 };
#endif
            POINT("exit.unlinked")
#else
            IN("torpord.host.listen:Listener.unlink")
#ifdef BROKEN_ORDER
            atomic { serving--; lock = NOBODY };
            path = NOBODY;
#else
            atomic { if :: path == me -> path = NOBODY :: else fi };
#endif
            POINT("exit.unlinked")
#ifndef BROKEN_GATE
            IN("torpord.host.listen:Listener.shut")
            /* Shut: nobody gets in line any more, and those who are in it stay. */
            atomic { listening[me] = false; EACH { if :: on[c].is == looking && on[c].with == me -> on[c].with = NOBODY :: else fi }; c = 0 };
#endif
#ifndef BROKEN_ACCEPT
            IN("torpord.shell.leaving:Exit._accepted")
            do :: atomic { ANY(REACHES) -> accept_one() } :: else -> break od;
#endif
#endif
            POINT("exit.refused")
            IN("torpord.control.server:Server.drain")
            atomic { EACH { if :: MINE(c) -> on[c].closing = true :: else fi }; c = 0 };
            do
            :: atomic { ANY(HAS_UNREAD) -> read_one() }
            :: ANY(HAS_INBOX) -> commit()
            :: !ANY(HAS_UNREAD) && !ANY(HAS_INBOX) -> atomic { close_quiet(); break }
            od;
#ifndef INHERITED
            IN("torpord.host.listen:Listener.close")
            atomic { close_own_listener(me, false) };
#endif
            POINT("exit.drained")
            assert(!wake || signalled);  /* what goes by itself goes in HIBERNATION: nobody was promised anything else */
            POINT("exit.recorded")
            POINT("exit.told")
        gone:
            skip
        } unless { killed[me] };
        atomic {
            /* The end of the process is the end of its lock. */
            if :: lock == me -> lock = NOBODY; serving-- :: else fi;
            closed = false; signalled = false; early_file = false; c = 0;
            killed[me] = false; term[me] = false; by_hand[me] = false; up[me] = false
        }
    od
}

/* ---------------------------------------------------------------- who starts daemons */

#ifdef INHERITED
/* The socket unit, the path unit, and Restart=on-failure; one service, so one process at a time. */
proctype Manager() {
end_idle:
    do
    :: atomic { !up[0] && (again || file || ANY(IN_LINE)) -> again = false; up[0] = true }
    od
}
#endif

/* torpor.wake.start: returns when it is worth connecting again. */
inline start() { STEP("Start") IN("torpor.wake:start")
    do
    :: IN("torpor.wake:accepts")
        if
        :: LISTENS(path) -> break
        :: else -> if
            :: atomic { !spawning -> spawning = true };
                IN("torpor.wake:_first_in_line")
                if
                :: LISTENS(path) || lock != NOBODY -> skip
                :: else -> IN("torpor.wake:_spawn")
                    if
                    :: atomic { !up[0] -> up[0] = true }; (LISTENS(path) || !up[0])
                    :: atomic { up[0] && !killed[0] && !up[1] -> up[1] = true }; (LISTENS(path) || !up[1])
                    fi
                fi;
                spawning = false; break
            :: spawning -> skip  /* in line for the lock: looks again */
            fi
        fi
    od
}

/* ---------------------------------------------------------------- who wants it up */

proctype Client(byte c) {
    bool sent;
    do
    :: served_[c] -> break
    :: else -> IN("torpor.talk:Talk.ask") STEP("Connect")
#ifdef INHERITED
        atomic { on[c].is = queued; on[c].with = MANAGER };
#else
        atomic { on[c].with = path; on[c].is = looking };
        atomic { if
        :: on[c].with < DAEMONS && LISTENS(on[c].with) -> on[c].is = queued
        :: else -> on[c].is = absent; on[c].with = 0
        fi };
        if
        :: on[c].is == absent -> IN("torpor.talk:Talk._no_listener") IN("torpor.presence:is_up")
            if :: lock != NOBODY -> STEP("Pause") :: else -> start() fi;
            goto next
        :: else fi;
#endif
        STEP("Send")
        atomic { if :: !on[c].ended && !on[c].closing -> on[c].unread = true; sent = true :: else fi };
        STEP("Receive")
        (on[c].reply != nothing || on[c].ended);
        d_step { if
        :: on[c].reply == result -> served_[c] = true
        :: on[c].reply == draining -> skip
        /* Silence. Only the daemon's death explains it: else it was never sent, and the client knows. */
        :: else -> assert(!sent || on[c].excused)
        fi };
        STEP("Disconnect") STEP("Pause")
        d_step {
            sent = false;
            on[c].is = absent; on[c].with = 0; on[c].reply = nothing; on[c].unread = false; on[c].inbox = false;
            on[c].batch = false; on[c].closing = false; on[c].ended = false; on[c].excused = false; on[c].early = false
        }
next:   skip
    od
}

/* Leaves a file, and nothing else: the path unit starts a daemon for it. With no service manager it is `torpor send`
 * that found nobody (torpor.delivery), and sees to it that there is one. A daemon that is killed then leaves the file to
 * the next start: whose it is here, who still wants it comes again. */
proctype Sender() {
    file = true; IN("torpor.spool:drop")
#ifndef INHERITED
    do
    :: IN("torpor.delivery:_was_taken")
        if
        :: !file -> break
        :: file && lock != NOBODY -> skip
        :: file && lock == NOBODY -> start()
        fi
    od
#endif
}

/* ---------------------------------------------------------------- bad luck */

inline die(whose) {
    killed[whose] = true; again = !by_hand[whose];
    if :: lock == whose -> lock = NOBODY; serving-- :: else fi;
    if :: path == whose -> path = DEAD :: else fi;
    EACH { if :: on[c].is == accepted && on[c].with == whose && !on[c].ended ->
        on[c].unread = false; on[c].inbox = false; on[c].batch = false; on[c].ended = true; on[c].excused = true
        :: else fi }; c = 0;
    close_own_listener(whose, true)
}

proctype Adversary() {
    byte kills, terms, hands, c;
    do
    :: atomic { kills < KILLS && up[0] && !killed[0] -> kills++; die(0) }
    :: atomic { kills < KILLS && up[1] && !killed[1] -> kills++; die(1) }
    :: atomic { terms < TERMS && up[0] && !term[0] -> terms++; term[0] = true }
    :: atomic { hands < HANDS && !up[1] -> hands++; up[1] = true; by_hand[1] = true }
    :: break
    od
}

init {
    atomic {
        run Daemon(0); run Daemon(1);
#ifdef INHERITED
        run Manager();
#endif
        run Client(0);
#if CLIENTS > 1
        run Client(1);
#endif
#if CLIENTS > 2
        run Client(2);
#endif
        run Sender();
        run Adversary()
    }
}
