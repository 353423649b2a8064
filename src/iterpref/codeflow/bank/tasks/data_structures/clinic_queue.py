"""Write a class ClinicQueue for a walk-in clinic. add(name, urgency) queues a patient; a name already waiting raises
ValueError. next_patient() removes and returns the name with the highest urgency, among equals the one added first.
raise_urgency(name, urgency) sets a new, strictly higher urgency and keeps the patient's original place among equals;
one that is not higher raises ValueError. leave(name) removes a waiting patient. len() is the number waiting. An
unknown name raises KeyError, next_patient() of an empty queue IndexError."""

import heapq


class ClinicQueue:
    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._waiting: dict[str, tuple[int, int]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, name: str, urgency: int) -> None:
        if name in self._waiting:
            raise ValueError(f"{name} is already waiting")
        self._arrivals += 1
        self._push(name, urgency, self._arrivals)

    def raise_urgency(self, name: str, urgency: int) -> None:
        current, arrival = self._waiting[name]
        if urgency <= current:
            raise ValueError(f"{urgency} is not above {current}")
        self._push(name, urgency, arrival)

    def leave(self, name: str) -> None:
        del self._waiting[name]

    def next_patient(self) -> str:
        while self._heap:
            negative, arrival, name = heapq.heappop(self._heap)
            # Entries of patients who left or became more urgent are stale and stay in the heap until here.
            if self._waiting.get(name) == (-negative, arrival):
                del self._waiting[name]
                return name
        raise IndexError("nobody is waiting")

    def _push(self, name: str, urgency: int, arrival: int) -> None:
        self._waiting[name] = (urgency, arrival)
        heapq.heappush(self._heap, (-urgency, arrival, name))


# --- tests ---

import unittest


class TestClinicQueue(unittest.TestCase):
    def queue(self, *patients: tuple[str, int]) -> ClinicQueue:
        queue = ClinicQueue()
        for name, urgency in patients:
            queue.add(name, urgency)
        return queue

    def served(self, queue: ClinicQueue) -> list[str]:
        return [queue.next_patient() for _ in range(len(queue))]

    def test_the_most_urgent_comes_first(self) -> None:
        self.assertEqual(self.served(self.queue(("Ida", 1), ("Bo", 5), ("Cy", 3))), ["Bo", "Cy", "Ida"])

    def test_equals_are_served_in_order_of_arrival(self) -> None:
        self.assertEqual(self.served(self.queue(("Zoe", 2), ("Abe", 2), ("Max", 2))), ["Zoe", "Abe", "Max"])

    def test_length(self) -> None:
        queue = self.queue(("Ida", 1), ("Bo", 5))
        self.assertEqual(len(queue), 2)
        queue.next_patient()
        self.assertEqual(len(queue), 1)
        self.assertEqual(len(ClinicQueue()), 0)

    def test_raised_urgency_keeps_the_place_among_equals(self) -> None:
        queue = self.queue(("Ida", 1), ("Bo", 5), ("Cy", 3))
        queue.raise_urgency("Ida", 5)
        self.assertEqual(len(queue), 3)
        self.assertEqual(self.served(queue), ["Ida", "Bo", "Cy"])

    def test_urgency_can_only_rise(self) -> None:
        queue = self.queue(("Ida", 4))
        for urgency in (4, 3):
            with self.subTest(urgency=urgency), self.assertRaises(ValueError):
                queue.raise_urgency("Ida", urgency)

    def test_a_patient_who_left_is_not_served(self) -> None:
        queue = self.queue(("Ida", 1), ("Bo", 5))
        queue.leave("Bo")
        self.assertEqual(self.served(queue), ["Ida"])
        with self.assertRaises(IndexError):
            queue.next_patient()

    def test_coming_back_means_a_new_place(self) -> None:
        queue = self.queue(("Ida", 2), ("Bo", 2))
        queue.leave("Ida")
        queue.add("Ida", 2)
        self.assertEqual(self.served(queue), ["Bo", "Ida"])

    def test_a_name_can_wait_only_once(self) -> None:
        queue = self.queue(("Ida", 2))
        with self.assertRaises(ValueError):
            queue.add("Ida", 9)
        self.assertEqual(self.served(queue), ["Ida"])

    def test_unknown_names_and_an_empty_queue(self) -> None:
        queue = ClinicQueue()
        with self.assertRaises(KeyError):
            queue.leave("Ida")
        with self.assertRaises(KeyError):
            queue.raise_urgency("Ida", 3)
        with self.assertRaises(IndexError):
            queue.next_patient()
